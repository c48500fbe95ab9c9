"""A stop in the moment after the start of an execution, when moto's interpreter does not run it yet."""

import time
from collections.abc import Callable
from typing import Any

BEGIN_S = 30.0  # until the interpreter runs: it first reads the state machine, for seconds on a machine with other work
PAUSE_S = 0.01


def let_programs_begin() -> None:
    """Makes moto stop an execution only once its program runs. Before that moto breaks, or forgets the stop."""
    from moto.stepfunctions.parser.backend import execution

    class PatientWorker(execution.ExecutionWorker):  # type: ignore[misc, name-defined]
        """Runs an execution, as moto does."""

        def stop(self, **how: Any) -> None:
            wait_for_program(lambda: self.env)
            super().stop(**how)

    execution.ExecutionWorker = PatientWorker  # type: ignore[attr-defined]


def wait_for_program(
    env: Callable[[], Any],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Waits until a program runs, or has run.

    Args:
        env: Gives moto's environment of the execution, which is None until it is made.
        clock: Tells seconds.
        sleep: Waits for seconds.
    """
    until = clock() + BEGIN_S
    while ((found := env()) is None or found.program_state() is None) and clock() < until:
        sleep(PAUSE_S)
