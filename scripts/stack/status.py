"""What a stack has, and where it differs from its template."""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from botocore.exceptions import ClientError

from scripts.stack.account import AccountError
from scripts.stack.change_set import Sleep, Stack
from scripts.stack.progress import FIRST_PAUSE_S, GROWTH, LONGEST_PAUSE_S


def show_status(stack: Stack, region: str, say: Callable[[str], None]) -> bool:
    """Shows the state of a stack, its outputs and its drift.

    Returns:
        Whether all is as the template has it.

    Raises:
        AccountError: there is no such stack, or AWS cannot tell its drift.
    """
    found = stack.describe()
    if found is None:
        raise AccountError(f"there is no stack {stack.name} in {region}: cosmicai deploy makes it")
    say(f"the stack {stack.name} is {found['StackStatus']}")
    for output in found.get("Outputs", ()):
        say(f"  {output['OutputKey']:24} {output['OutputValue']}")
    if not found["StackStatus"].endswith(("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE")):
        return False
    lines = [line for resource in drifted(stack.client, stack.name, stack.sleep) for line in _described(resource)]
    if not lines:
        say("no drift: everything is as the template has it")
        return True
    say("what differs from the template, and is changed back only when that part of the template changes:")
    for line in lines:
        say(f"  {line}")
    return False


def drifted(client: Any, stack: str, sleep: Sleep = time.sleep) -> list[Mapping[str, Any]]:
    """Asks CloudFormation which resources were changed or removed beside it, which takes it up to a minute.

    Raises:
        AccountError: CloudFormation could not look at the resources.
    """
    detection = client.detect_stack_drift(StackName=stack)["StackDriftDetectionId"]
    pause = FIRST_PAUSE_S
    while (answer := client.describe_stack_drift_detection_status(StackDriftDetectionId=detection))[
        "DetectionStatus"
    ] == "DETECTION_IN_PROGRESS":
        sleep(pause)
        pause = min(pause * GROWTH, LONGEST_PAUSE_S)
    if answer["DetectionStatus"] == "DETECTION_FAILED" and "StackDriftStatus" not in answer:
        raise AccountError(f"the drift of {stack} is unknown: {answer.get('DetectionStatusReason', 'no reason given')}")
    found: list[Mapping[str, Any]] = []
    more: dict[str, str] = {}
    while True:
        page = client.describe_stack_resource_drifts(
            StackName=stack, StackResourceDriftStatusFilters=["MODIFIED", "DELETED"], **more
        )
        found += page["StackResourceDrifts"]
        if "NextToken" not in page:
            return found
        more = {"NextToken": page["NextToken"]}


def _described(resource: Mapping[str, Any]) -> Iterator[str]:
    name = f"{resource['LogicalResourceId']} ({resource.get('PhysicalResourceId', '')})"
    if resource["StackResourceDriftStatus"] == "DELETED":
        yield f"{name} was removed"
        return
    for difference in resource.get("PropertyDifferences", ()):
        expected, actual = difference.get("ExpectedValue"), difference.get("ActualValue")
        yield f"{name} {difference['PropertyPath']} is {actual}, and the template has {expected}"


def resources(client: Any, stack: str) -> list[Mapping[str, Any]]:
    """Lists what a stack holds; nothing where there is no such stack."""
    try:
        pages = client.get_paginator("list_stack_resources").paginate(StackName=stack)
        every = [resource for page in pages for resource in page["StackResourceSummaries"]]
    except ClientError as error:
        if error.response["Error"]["Code"] == "ValidationError" and "does not exist" in str(error):
            return []
        raise
    return [resource for resource in every if resource["ResourceStatus"] not in ("DELETE_COMPLETE", "DELETE_SKIPPED")]
