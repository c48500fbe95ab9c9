from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from scripts.stack.account import AccountError
from scripts.stack.progress import StackEvents, next_step

STACK = "arn:aws:cloudformation:us-east-1:1:stack/cosmicai/1"


def event(number: int, name: str, status: str, reason: str = "") -> dict[str, Any]:
    return {
        "EventId": str(number),
        "LogicalResourceId": name,
        "PhysicalResourceId": STACK if name == "cosmicai" else name.lower(),
        "ResourceType": "AWS::SNS::Topic",
        "ResourceStatus": status,
        "ResourceStatusReason": reason,
    }


class CloudFormation:
    """Shows one step more of a stack's life each time that its status is asked for."""

    def __init__(self, steps: Iterable[tuple[str, list[dict[str, Any]]]]) -> None:
        self.steps = iter(steps)
        self.events: list[dict[str, Any]] = []

    def describe_stacks(self, StackName: str) -> dict[str, Any]:  # noqa: N803
        status, new = next(self.steps)
        self.events = [*reversed(new), *self.events]
        return {"Stacks": [{"StackStatus": status}]}

    def get_paginator(self, _: str) -> "CloudFormation":
        return self

    def paginate(self, StackName: str) -> Iterator[dict[str, Any]]:  # noqa: N803
        yield {"StackEvents": self.events}


def follow(*steps: tuple[str, list[dict[str, Any]]]) -> list[str]:
    client = CloudFormation(steps)
    client.events = [event(0, "Past", "CREATE_COMPLETE")]
    said: list[str] = []
    StackEvents.begin(client, STACK, sleep=lambda _: None, clock=lambda: 0.0).follow(said.append)
    return [line.split("s  ")[1] for line in said]


def test_each_resource_is_told_once_in_order():
    made = event(1, "Topic", "CREATE_COMPLETE")
    assert follow(
        ("CREATE_IN_PROGRESS", [event(9, "Topic", "CREATE_IN_PROGRESS")]),
        ("CREATE_IN_PROGRESS", [made, event(2, "Bucket", "CREATE_COMPLETE")]),
        ("CREATE_COMPLETE", [event(3, "Old", "DELETE_COMPLETE"), event(4, "cosmicai", "CREATE_COMPLETE")]),
    ) == ["made     Topic", "made     Bucket", "removed  Old"]


def test_the_first_failure_is_told_and_not_what_it_cancelled():
    with pytest.raises(AccountError) as refused:
        follow(
            (
                "CREATE_IN_PROGRESS",
                [event(1, "Role", "CREATE_FAILED", "You are not authorized to perform iam:CreateRole")],
            ),
            ("ROLLBACK_COMPLETE", [event(2, "Other", "CREATE_FAILED", "Resource creation cancelled")]),
        )
    assert refused.value.message == (
        "the stack cosmicai ended as ROLLBACK_COMPLETE, since Role (AWS::SNS::Topic) failed: You are not authorized to "
        "perform iam:CreateRole. Next: ask for the permission that the reason names"
    )


def test_an_end_without_a_failure_names_where_to_look():
    with pytest.raises(AccountError, match="cosmicai deploy --status"):
        follow(("UPDATE_ROLLBACK_COMPLETE", []))


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("'MemorySize' value failed to satisfy constraint", "RankMemory=3008"),
        (
            "Specified ReservedConcurrentExecutions decreases account's UnreservedConcurrentExecution",
            "ReservedConcurrency",
        ),
        ("The image manifest or layer media type for the source image is not supported", "Architecture"),
        ("cosmicai-rank already exists in stack", "--stack"),
        ("The maximum number of VPCs has been reached", "Service Quotas"),
        ("something else", "run the command again"),
    ],
)
def test_aws_reasons_have_next_steps(reason: str, words: str):
    assert words in next_step(reason)


def test_who_interrupts_is_told_that_aws_goes_on():
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    said: list[str] = []
    events = StackEvents.begin(CloudFormation([("CREATE_IN_PROGRESS", [])]), STACK, sleep=interrupt)
    with pytest.raises(KeyboardInterrupt):
        events.follow(said.append)
    assert said == ["AWS goes on by itself; cosmicai deploy --status shows how it stands"]
