"""What CloudFormation does, as lines, until it has ended; and the first resource that failed, with the next step."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from botocore.exceptions import ClientError

from scripts.stack.account import AccountError

FIRST_PAUSE_S, LONGEST_PAUSE_S, GROWTH = 0.2, 3.0, 1.3  # between two looks
DONE = {"CREATE_COMPLETE": "made", "UPDATE_COMPLETE": "changed", "DELETE_COMPLETE": "removed", "DELETE_SKIPPED": "kept"}
GOOD_ENDS = {"CREATE_COMPLETE", "UPDATE_COMPLETE", "DELETE_COMPLETE"}
CANCELLED = ("Resource creation cancelled", "Resource update cancelled", "Resource deletion cancelled")
# What to do, by what AWS's reason says.
NEXT_STEPS = {
    ("not authorized", "access denied", "accessdenied"): "ask for the permission that the reason names",
    ("already exists", "alreadyexists", "already owned"): "remove what has that name, or give another --stack",
    (
        "limit exceeded",
        "limitexceeded",
        "quota",
        "maximum number",
        "reached the limit",
    ): "ask for more in Service Quotas, or remove what is not used",
    ("memorysize", "memory size"): "give --parameter RankMemory=3008, which every account has, or ask for more in "
    "Service Quotas",
    ("unreservedconcurrentexecution", "reservedconcurrent"): "give a smaller --parameter ReservedConcurrency",
    ("source image", "image manifest", "imageuri", "image uri"): "check that the image is in this region's ECR and "
    "was built for --parameter Architecture",
    ("not empty", "bucketnotempty"): "empty it, or run cosmicai destroy --with-data",
    ("service linked role", "service-linked role"): "run the command again, since AWS makes that role at first use",
    ("kms",): "check that the key's policy lets the services use it, as the description of KmsKeyArn says",
}
OTHERWISE = "mend that and run the command again, which clears what was left"


@dataclass(frozen=True)
class StackEvents:
    """The events of one stack from now on.

    `sleep` waits for so many seconds, and `clock` tells the time in seconds.
    """

    client: Any
    stack_id: str  # its ARN, by which a stack is found when it has been deleted
    seen: frozenset[str]
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    @classmethod
    def begin(cls, client: Any, stack_id: str, **collaborators: Any) -> "StackEvents":
        """Remembers which events are past."""
        return cls(
            client, stack_id, frozenset(event["EventId"] for event in _events(client, stack_id)), **collaborators
        )

    def follow(self, say: Callable[[str], None]) -> None:
        """Says what happens to each resource, until the stack has reached an end.

        Raises:
            AccountError: that was not what was wanted. The message has the first resource that failed, AWS's reason and
                the next step.
        """
        started, told, pause = self.clock(), set(self.seen), FIRST_PAUSE_S
        failures: list[Mapping[str, Any]] = []
        while True:
            status = _status(self.client, self.stack_id)  # before the events, of which none then comes after an end
            new = list(takewhile(lambda event: event["EventId"] not in told, _events(self.client, self.stack_id)))
            for event in reversed(new):
                told.add(event["EventId"])
                if event["PhysicalResourceId"] == self.stack_id:
                    continue
                if line := _line(event):
                    say(f"{self.clock() - started:5.0f} s  {line}")
                if event["ResourceStatus"].endswith("_FAILED"):
                    failures.append(event)
            if not status.endswith("_IN_PROGRESS"):
                break
            try:
                self.sleep(pause)
            except KeyboardInterrupt:
                say("AWS goes on by itself; cosmicai deploy --status shows how it stands")
                raise
            pause = min(pause * GROWTH, LONGEST_PAUSE_S)
        if status not in GOOD_ENDS:
            raise AccountError(_failure(self.stack_id, status, failures))


def next_step(reason: str) -> str:
    """Finds out what to do about AWS's reason for a failure."""
    lowered = reason.lower()
    return next((step for words, step in NEXT_STEPS.items() if any(word in lowered for word in words)), OTHERWISE)


def _failure(stack_id: str, status: str, failures: list[Mapping[str, Any]]) -> str:
    name = stack_id.split("/")[1] if "/" in stack_id else stack_id
    own = [event for event in failures if not event.get("ResourceStatusReason", "").startswith(CANCELLED)]
    if not own:
        return f"the stack {name} ended as {status}, and AWS names no resource that failed: cosmicai deploy --status"
    first = own[0]
    reason = " ".join(first.get("ResourceStatusReason", "AWS gives no reason").split())
    what = f"{first['LogicalResourceId']} ({first['ResourceType']}) failed: {reason}"
    return f"the stack {name} ended as {status}, since {what}. Next: {next_step(reason)}"


def _line(event: Mapping[str, Any]) -> str:
    status = event["ResourceStatus"]
    if status.endswith("_FAILED"):
        return f"failed   {event['LogicalResourceId']}"
    return f"{DONE[status]:8} {event['LogicalResourceId']}" if status in DONE else ""


def _status(client: Any, stack_id: str) -> str:
    return str(client.describe_stacks(StackName=stack_id)["Stacks"][0]["StackStatus"])


def _events(client: Any, stack_id: str) -> Iterator[Mapping[str, Any]]:
    """The newest first."""
    try:
        for page in client.get_paginator("describe_stack_events").paginate(StackName=stack_id):
            yield from page["StackEvents"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ValidationError":
            raise
