"""Before a run: whether its functions can begin, and how many ranks can work at a time."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from scripts.runs.place import Place
from scripts.stack.account import DENIED, AccountError, code_of
from scripts.words import counted

WAKING_S = 300.0  # for an inactive function; AWS names no figure, and seconds are usual
PAUSE_S = 1.0  # between two looks at a function that wakes
LOCAL_READY_S = 120.0  # until a container per rank has started, with as much CPU as a Lambda of its size has


def configurations(place: Place) -> dict[str, dict[str, Any]]:
    """Looks up the functions of a place.

    Returns:
        What Lambda says of each, by init, rank and summarize; nothing where it may not be asked.

    Raises:
        AccountError: one of them is not there.
        botocore's errors: Lambda refuses or does not answer.
    """
    client = place.client("lambda")
    return {function: found for function in place.functions if (found := _look(place, client, function))}


def wait_for(
    place: Place,
    functions: Mapping[str, Mapping[str, Any]],
    world_size: int | None,
    gather: bool,
    say: Callable[[str], None],
) -> None:
    """Waits until a run of so many ranks can begin, and says where not all of them can work at a time.

    Args:
        place: where it is to run.
        functions: what `configurations` has found.
        world_size: how many ranks the run has; None where that is not known.
        gather: whether ranks will wait for each other.
        say: is told what is waited for, and what will happen.

    Raises:
        AccountError: a function cannot be used, does not wake, or may not run at all.
        EndpointError: workers of a local endpoint are not up.
        botocore's errors: Lambda refuses or does not answer.
    """
    check_room(room(place), world_size, gather, say)
    wait_until_active(place, functions, say)
    if place.local is not None:
        place.local.wait_until_ready(world_size or 1, LOCAL_READY_S)


def wait_until_active(
    place: Place,
    functions: Mapping[str, Mapping[str, Any]],
    say: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Waits until each function can be invoked, and wakes those that were idle for weeks.

    Args:
        place: where they are.
        functions: what `configurations` has found.
        say: is told what is waited for.
        sleep: waits for so many seconds.
        clock: tells the time in seconds.

    Raises:
        AccountError: a function cannot be used, or does not wake.
        botocore's errors: Lambda refuses or does not answer.
    """
    client = place.client("lambda")
    for function, found in functions.items():
        name, deadline, told = place.functions[function], clock() + WAKING_S, False
        while not _is_ready(name, found):
            if not told:
                why = "was idle for long and wakes" if found.get("State") == "Inactive" else "is being set up"
                say(f"the function {name} {why}, which may take a minute")
                told = True
            if found.get("State") == "Inactive":
                _wake(client, name)
            if clock() > deadline:
                raise AccountError(
                    f"the function {name} is still {found.get('State')} after {WAKING_S:.0f} s: look at it by aws "
                    f"lambda get-function --function-name {name}, or run cosmicai deploy"
                )
            sleep(PAUSE_S)
            found = _look(place, client, function)


def room(place: Place) -> int | None:
    """Returns how many ranks the account lets work at a time; None where it does not say.

    Raises:
        botocore's errors: Lambda refuses or does not answer.
    """
    client, name = place.client("lambda"), place.functions["rank"]
    try:
        reserved = client.get_function_concurrency(FunctionName=name).get("ReservedConcurrentExecutions")
        if reserved is not None:
            return int(reserved)
        limit = client.get_account_settings()["AccountLimit"]
        return int(limit.get("UnreservedConcurrentExecutions", limit["ConcurrentExecutions"]))
    except ClientError as error:
        if code_of(error) in DENIED:
            return None
        raise


def check_room(available: int | None, world_size: int | None, gather: bool, say: Callable[[str], None]) -> None:
    """Compares the ranks of a run with how many may work at a time, and says what will happen.

    Args:
        available: what `room` has found.
        world_size: how many ranks the run has; None where that is not known.
        gather: whether ranks will wait for each other.
        say: is told what will happen.

    Raises:
        AccountError: no rank can work at all.
    """
    if available is None:
        say("how many ranks can work at a time is unknown, since lambda:GetAccountSettings is denied")
        return
    if available < 1:
        raise AccountError(
            "no rank can work, since the rank function has a reserved concurrency of 0: cosmicai deploy --parameter "
            "ReservedConcurrency=100 gives it some"
        )
    if world_size is None or world_size <= available:
        return
    waits = "Ranks that find rank 0 gone gather by way of S3, which takes longer. " if gather else ""
    say(
        f"{counted(available, 'rank')} of {world_size:,} can work at a time, by the account's quota or the stack's "
        f"reserve. The others wait and are tried again for about 13 minutes. {waits}"
        f"Give --world-size {available}, or ask for more concurrent executions in Service Quotas"
    )


def _look(place: Place, client: Any, function: str) -> dict[str, Any]:
    name = place.functions[function]
    try:
        found: dict[str, Any] = client.get_function_configuration(FunctionName=name)
    except ClientError as error:
        if code_of(error) in DENIED:
            return {}
        if code_of(error) == "ResourceNotFoundException":
            raise AccountError(
                f"{place.name} has no function {name}: cosmicai deploy --status shows what was removed, and cosmicai "
                "deploy makes it anew"
            ) from error
        raise
    return found


def _is_ready(name: str, found: Mapping[str, Any]) -> bool:
    """Whether it can be invoked; one that may not be looked at any more counts as such."""
    state, update = found.get("State", "Active"), found.get("LastUpdateStatus", "Successful")
    if "Failed" in (state, update):
        reason = found.get("StateReason") or found.get("LastUpdateStatusReason") or "AWS gives no reason"
        raise AccountError(f"the function {name} cannot be used: {reason}. Run cosmicai deploy")
    return bool(state == "Active" and update != "InProgress")


def _wake(client: Any, name: str) -> None:
    """Invokes an inactive function once. Lambda refuses that, and wakes it."""
    try:
        client.invoke(FunctionName=name, Payload=b"{}")
    except ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        if status not in (409, 429) and code_of(error) not in DENIED:
            raise
