"""Starting and ending the processes of the contenders."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict

from scripts.bench.inference.contenders import PUBLISHED, Spec, quiet_environ
from scripts.bench.processes import MeasuredProcess, run_python

ANSWER_TIMEOUT_S = 120.0  # the longest step, a start with PyTorch or a round of the published loop, takes 10 s


class Worker:
    """A contender's process.

    Attributes:
        first: What it said once it had predicted for the first time.
        cold_start_s: Seconds from its start until then.
    """

    def __init__(self, process: MeasuredProcess, started: float) -> None:
        self._process = process
        self.first = process.answer()
        self.cold_start_s = time.perf_counter() - started

    def ask(self, **what: float) -> dict[str, float]:
        """Have it measured once, and return the figures."""
        self._process.tell(**what)
        return self._process.answer()


@contextmanager
def running(spec: Spec) -> Iterator[Worker]:
    """Start a contender, and end it afterwards."""
    module, environ = "scripts.bench.inference.worker", quiet_environ(spec.threads)
    started = time.perf_counter()
    # The published loop's profiler talks.
    process = MeasuredProcess(spec.name, module, asdict(spec), environ, ANSWER_TIMEOUT_S, quiet=spec.name == PUBLISHED)
    try:
        yield Worker(process, started)
    finally:
        process.stop()


def duration_s(arguments: Sequence[str]) -> float:
    """Return the seconds that a Python process with these arguments takes, from its start to its end."""
    started = time.perf_counter()
    run_python(arguments)
    return time.perf_counter() - started
