from types import SimpleNamespace

import pytest

from statemachine.local.child_executions import ChildExecutions, ending

RECORD = SimpleNamespace(
    map_run_arn="arn:aws:states:us-east-1:123456789012:mapRun:redshift/Ranks:1",
    map_state_machine_arn="arn:aws:states:us-east-1:123456789012:stateMachine:redshift/Ranks",
)


class ProgramEnded:
    pass


class ProgramStopped:
    error = None


class ProgramTimedOut:
    pass


class ProgramRunning:
    pass


class ProgramError:
    error = {"error": "Bad", "cause": "because"}  # noqa: RUF012 - as moto has it


def test_executions_are_kept_in_the_order_in_which_they_begin_and_found_by_their_arns() -> None:
    children = ChildExecutions()
    begun = [children.begin(RECORD, {"rank": rank}, 3) for rank in range(3)]
    assert children.of_map_run[RECORD.map_run_arn] == begun
    assert all(children.by_arn[child.arn] is child for child in begun)
    assert begun[0].arn == f"arn:aws:states:us-east-1:123456789012:execution:redshift/Ranks:{begun[0].name}"
    assert (begun[0].status, begun[0].stopped, begun[0].history()) == ("RUNNING", None, [])


@pytest.mark.parametrize(
    ("state", "status", "event"),
    [
        (ProgramEnded(), "SUCCEEDED", ("ExecutionSucceeded", {"executionSucceededEventDetails": {"output": "[1]"}})),
        (ProgramStopped(), "ABORTED", ("ExecutionAborted", {"executionAbortedEventDetails": {}})),
        (ProgramTimedOut(), "TIMED_OUT", ("ExecutionTimedOut", {"executionTimedOutEventDetails": {}})),
        (ProgramRunning(), "FAILED", ("ExecutionFailed", {"executionFailedEventDetails": {}})),  # an error of moto's
        (
            ProgramError(),
            "FAILED",
            ("ExecutionFailed", {"executionFailedEventDetails": {"error": "Bad", "cause": "because"}}),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_execution_ends_as_its_program_did(state: object, status: str, event: tuple[str, object]) -> None:
    child = ChildExecutions().begin(RECORD, 1, 1)
    child.end(state, [1])
    assert child.status == status
    assert child.stopped is not None
    assert child.stopped >= child.started
    assert ending(child, str) == event
