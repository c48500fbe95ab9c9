"""The executions of a Distributed Map. moto plays them as parts of their parent, and keeps their number only."""

import uuid
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

ROLE = "arn:aws:iam::123456789012:role/local"


@dataclass
class ChildExecution:
    """Describes one execution of a map run.

    Attributes:
        map_run: The ARN of its map run.
        state_machine: The ARN of the part of the state machine that it plays.
        name: Its name.
        given: Its input, a JSON value.
        started: When it began.
        stopped: When it ended.
        status: As Step Functions names it.
        output: Its output, a JSON value, where it succeeded.
        error: The error's name, where it failed.
        cause: What the error says.
        history: Gives its events so far, as moto keeps them.
    """

    map_run: str
    state_machine: str
    name: str
    given: Any
    started: datetime
    stopped: datetime | None = None
    status: str = "RUNNING"
    output: Any = None
    error: str | None = None
    cause: str | None = None
    history: Callable[[], list[dict[str, Any]]] = list

    @property
    def arn(self) -> str:
        """Its ARN."""
        return f"{self.state_machine.replace(':stateMachine:', ':execution:')}:{self.name}"

    def end(self, program_state: Any, output: Any) -> None:
        """Enters how it ended, given the state in which moto's interpreter left it."""
        kind = type(program_state).__name__
        if kind == "ProgramEnded":
            self.status, self.output = "SUCCEEDED", output
        else:
            self.status = {"ProgramStopped": "ABORTED", "ProgramTimedOut": "TIMED_OUT"}.get(kind, "FAILED")
            reason = getattr(program_state, "error", None)
            if isinstance(reason, Mapping):
                self.error, self.cause = reason.get("error"), reason.get("cause")
        self.stopped = datetime.now(UTC)


class ChildExecutions:
    """Keeps the executions of all map runs, those of each in the order in which they began."""

    def __init__(self) -> None:
        self.of_map_run: defaultdict[str, list[ChildExecution]] = defaultdict(list)
        self.by_arn: dict[str, ChildExecution] = {}
        self.items: dict[str, int] = {}  # of each map run, those that have not begun included

    def begin(self, record: Any, given: Any, items: int) -> ChildExecution:
        """Adds one that begins, given moto's record of its map run and how many items that has."""
        arn, machine = str(record.map_run_arn), str(record.map_state_machine_arn)
        child = ChildExecution(arn, machine, str(uuid.uuid4()), given, datetime.now(UTC))
        self.of_map_run[arn].append(child)
        self.items[arn] = items
        self.by_arn[child.arn] = child
        return child


def keep_children(children: ChildExecutions) -> None:
    """Makes moto's interpreter tell `children` of every execution of a map run, each with a history of its own."""
    from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.itemprocessor import (
        distributed_item_processor,
    )
    from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.itemprocessor.distributed_item_processor_worker import (  # noqa: E501
        DistributedItemProcessorWorker,
    )
    from moto.stepfunctions.parser.asl.eval.event.event_manager import EventHistoryContext, EventManager
    from moto.stepfunctions.parser.asl.utils.encoding import to_json_str

    class ToldOfWorker(DistributedItemProcessorWorker):
        """Evaluates one item after another, as moto does, and says so."""

        def _eval_job(self, env: Any, job: Any) -> None:
            child = self._child = children.begin(self._map_run_record, job.job_input, self._job_pool._jobs_number)
            env.event_manager = EventManager()
            env.event_history_context = EventHistoryContext.of_program_start()
            child.history = env.event_manager.get_event_history
            super()._eval_job(env, job)
            child.end(env.program_state(), job.job_output)
            env.event_manager.add_event(env.event_history_context, *ending(child, to_json_str))

        def _eval_input(self, env_frame: Any) -> None:
            super()._eval_input(env_frame)
            self._child.given = env_frame.states.get_input()
            details = {"input": to_json_str(self._child.given), "roleArn": ROLE}
            started = {"executionStartedEventDetails": details}
            env_frame.event_manager.add_event(env_frame.event_history_context, "ExecutionStarted", started, None, False)

    distributed_item_processor.DistributedItemProcessorWorker = ToldOfWorker  # type: ignore[attr-defined]


def ending(child: ChildExecution, to_text: Callable[[Any], str]) -> tuple[str, dict[str, Any]]:
    """Returns the type and details of the last event of an execution that has ended."""
    if child.status == "SUCCEEDED":
        return "ExecutionSucceeded", {"executionSucceededEventDetails": {"output": to_text(child.output)}}
    kind = {"ABORTED": "Aborted", "TIMED_OUT": "TimedOut"}.get(child.status, "Failed")
    reason = {"error": child.error, "cause": child.cause}
    return f"Execution{kind}", {f"execution{kind}EventDetails": {k: v for k, v in reason.items() if v is not None}}
