import json

import pytest

from statemachine.local.outcomes import InvocationOutcome, exited, response_too_large, timed_out


@pytest.mark.parametrize(
    ("returncode", "reason"),
    [
        (-9, "Runtime exited with error: signal: killed"),
        (-11, "Runtime exited with error: signal: segmentation fault"),
        (1, "Runtime exited with error: exit status 1"),
        (0, "Runtime exited without providing a reason"),
    ],
)
def test_an_exit_is_reported_in_lambdas_words(returncode: int, reason: str) -> None:
    document = json.loads(exited("id", returncode).payload)
    assert document == {"errorType": "Runtime.ExitError", "errorMessage": f"RequestId: id Error: {reason}"}


def test_too_large_a_response_names_the_limit() -> None:
    outcome = response_too_large()
    assert outcome.failed
    assert "6291456" in json.loads(outcome.payload)["errorMessage"]


def test_a_report_tells_a_timeout_from_an_error() -> None:
    statuses = [outcome.report_status for outcome in (InvocationOutcome(b"1"), exited("id", 1), timed_out("id", 3.0))]
    assert statuses == ["", "error", "timeout"]
