"""Finding a run that was started before."""

from typing import Any

from botocore.exceptions import ClientError

from lambda_image.errors import UsageError
from scripts.runs.place import Place
from scripts.stack.account import AccountError, code_of

NAMED = 3  # of the latest runs, where one is not found


def find_execution(place: Place, given: str) -> dict[str, Any]:
    """Looks up a run.

    Args:
        place: where it was started.
        given: its ID, or the ARN of its execution.

    Returns:
        The execution as Step Functions describes it.

    Raises:
        UsageError: it cannot be an ID.
        AccountError: there is no such run.
        botocore's errors: AWS refuses or does not answer.
    """
    client = place.client("stepfunctions")
    arn = given if given.startswith("arn:") else f"{place.machine.replace(':stateMachine:', ':execution:')}:{given}"
    try:
        described: dict[str, Any] = client.describe_execution(executionArn=arn)
    except ClientError as error:
        if code_of(error) in ("InvalidArn", "ValidationException"):
            raise UsageError(f"{given} is neither the ID of a run nor the ARN of an execution") from error
        if code_of(error) == "ExecutionDoesNotExist":
            raise AccountError(f"{place.name} has no run {given}: {_latest(place, client)}") from error
        raise
    return described


def _latest(place: Place, client: Any) -> str:
    try:
        found = client.list_executions(stateMachineArn=place.machine, maxResults=NAMED)["executions"]
    except ClientError:  # it may be denied, and was only to help
        found = []
    if not found:
        return "name another region, stack or endpoint"
    return f"the latest runs there are {', '.join(execution['name'] for execution in found[:NAMED])}"
