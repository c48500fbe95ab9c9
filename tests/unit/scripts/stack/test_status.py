from typing import Any

import pytest

from scripts.stack.account import AccountError
from scripts.stack.change_set import Stack
from scripts.stack.status import show_status


class DriftingCloudFormation:
    """A stack whose drift is known at the second look."""

    def __init__(self, drifts: list[dict[str, Any]], status: str = "CREATE_COMPLETE", failed: bool = False) -> None:
        self.drifts, self.stack_status, self.failed = drifts, status, failed
        self.looks = 0

    def describe_stacks(self, **_: str) -> dict[str, Any]:
        outputs = [{"OutputKey": "BucketName", "OutputValue": "b"}]
        return {"Stacks": [{"StackStatus": self.stack_status, "Outputs": outputs}]}

    def detect_stack_drift(self, **_: str) -> dict[str, str]:
        return {"StackDriftDetectionId": "1"}

    def describe_stack_drift_detection_status(self, **_: str) -> dict[str, str]:
        self.looks += 1
        if self.looks == 1:
            return {"DetectionStatus": "DETECTION_IN_PROGRESS"}
        if self.failed:
            return {"DetectionStatus": "DETECTION_FAILED", "DetectionStatusReason": "no permission"}
        return {"DetectionStatus": "DETECTION_COMPLETE", "StackDriftStatus": "IN_SYNC"}

    def describe_stack_resource_drifts(self, NextToken: str = "0", **_: Any) -> dict[str, Any]:  # noqa: N803
        place = int(NextToken)
        more = {"NextToken": str(place + 1)} if place + 1 < len(self.drifts) else {}
        return {"StackResourceDrifts": self.drifts[place : place + 1], **more}


def shown(client: Any) -> tuple[bool, list[str]]:
    said: list[str] = []
    return show_status(Stack(client, "cosmicai", sleep=lambda _: None), "us-east-1", said.append), said


def test_outputs_and_drift_are_told_page_by_page():
    changed = {
        "LogicalResourceId": "Rank", "PhysicalResourceId": "rank", "StackResourceDriftStatus": "MODIFIED",
        "PropertyDifferences": [{"PropertyPath": "/MemorySize", "ExpectedValue": "3008", "ActualValue": "512"}],
    }  # fmt: skip
    gone = {"LogicalResourceId": "Logs", "PhysicalResourceId": "logs", "StackResourceDriftStatus": "DELETED"}
    right, said = shown(DriftingCloudFormation([changed, gone]))
    assert not right
    assert said[:2] == ["the stack cosmicai is CREATE_COMPLETE", "  BucketName               b"]
    assert said[-2:] == ["  Rank (rank) /MemorySize is 512, and the template has 3008", "  Logs (logs) was removed"]


def test_without_drift_all_is_right():
    right, said = shown(DriftingCloudFormation([]))
    assert right
    assert said[-1] == "no drift: everything is as the template has it"


def test_a_stack_that_is_not_up_has_no_drift_to_ask_for():
    client = DriftingCloudFormation([], "ROLLBACK_COMPLETE")
    assert shown(client)[0] is False
    assert client.looks == 0


def test_a_drift_that_aws_cannot_tell_is_an_error():
    with pytest.raises(AccountError, match="the drift of cosmicai is unknown: no permission"):
        shown(DriftingCloudFormation([], failed=True))
