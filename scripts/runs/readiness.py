"""Before a run: whether its functions can begin, and how many ranks can work at a time."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from lambda_image.run_time import plan_waves
from lambda_image.settings import MAX_VCPUS, MB_PER_VCPU
from scripts.runs.place import Place
from scripts.stack.account import DENIED, AccountError, code_of
from scripts.stack.costs import Speed
from scripts.words import counted

WAKING_S = 300.0  # for an inactive function; AWS names no figure, and seconds are usual
PAUSE_S = 1.0  # between two looks at a function that wakes
LOCAL_READY_S = 120.0  # until a container per rank has started, with as much CPU as a Lambda of its size has


def working_s(totals: Sequence[int] | None, function: Mapping[str, Any]) -> float | None:
    """Estimates for how long the ranks of a run infer.

    Args:
        totals: Galaxies of each rank, where they are known.
        function: What Lambda says of the rank function, which may be nothing.

    Returns:
        Seconds of the rank that has most; None where that is not known.
    """
    if not totals or "MemorySize" not in function:
        return None
    vcpus = min(float(function["MemorySize"]) / MB_PER_VCPU, MAX_VCPUS)
    return max(totals) / (Speed().galaxies_per_vcpu_s * vcpus)


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
    client, deadline = place.client("lambda"), clock() + WAKING_S
    waiting = {function: found for function, found in functions.items() if not _is_ready(place, function, found)}
    for function, found in waiting.items():
        why = "was idle for long and wakes" if _is_idle(found) else "is being set up"
        say(f"the function {place.functions[function]} {why}, which may take a minute")
    while waiting:
        for function in [function for function, found in waiting.items() if _is_idle(found)]:
            _wake(client, place.functions[function])
        if clock() > deadline:
            name = place.functions[next(iter(waiting))]
            raise AccountError(
                f"the function {name} is not active after {WAKING_S:.0f} s: look at it by aws lambda get-function "
                f"--function-name {name}, or run cosmicai deploy"
            )
        sleep(PAUSE_S)
        looked = {function: _look(place, client, function) for function in waiting}
        waiting = {function: found for function, found in looked.items() if not _is_ready(place, function, found)}


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


def turns(
    available: int | None, world_size: int | None, max_concurrency: int | None, say: Callable[[str], None]
) -> dict[str, int]:
    """Compares the ranks of a run with how many may work at a time, and says what will happen where those are more.

    Args:
        available: what `room` has found.
        world_size: how many ranks the run has; None where that is not known.
        max_concurrency: how many work at a time by the execution input or the stack; None where these do not say.
        say: is told what will happen.

    Returns:
        What the execution input needs for the ranks to take turns, if they have to.

    Raises:
        AccountError: no rank can work at all.
    """
    if available is not None and available < 1:
        raise AccountError(
            "no rank can work, since the rank function has a reserved concurrency of 0: cosmicai deploy --parameter "
            "ReservedConcurrency=100 gives it some"
        )
    if available is None:
        say("how many ranks can work at a time is unknown, since lambda:GetAccountSettings is denied")
    at_once = min((limit for limit in (available, max_concurrency) if limit is not None), default=None)
    if at_once is None or world_size is None or world_size <= at_once:
        return {}
    own = at_once == max_concurrency
    why = "max_concurrency says" if own else "the account's quota or the stack's reserve allows"
    more = "" if own else ", or ask for more concurrent executions in Service Quotas,"
    waves = counted(plan_waves(world_size, at_once).count, "wave")
    say(
        f"{at_once:,} of {counted(world_size, 'rank')} work at a time, as {why}. They take turns in {waves}, and their "
        f"parts travel by way of S3. Give a smaller --world-size{more} for a gather by sockets"
    )
    return {} if own else {"max_concurrency": at_once}


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


def _is_idle(found: Mapping[str, Any]) -> bool:
    return bool(found.get("State") == "Inactive")


def _is_ready(place: Place, function: str, found: Mapping[str, Any]) -> bool:
    """Whether it can be invoked; one that may not be looked at any more counts as such."""
    state, update = found.get("State", "Active"), found.get("LastUpdateStatus", "Successful")
    if "Failed" in (state, update):
        reason = found.get("StateReason") or found.get("LastUpdateStatusReason") or "AWS gives no reason"
        raise AccountError(f"the function {place.functions[function]} cannot be used: {reason}. Run cosmicai deploy")
    return bool(state == "Active" and update != "InProgress")


def _wake(client: Any, name: str) -> None:
    """Invokes an inactive function once. Lambda refuses that, and wakes it."""
    try:
        client.invoke(FunctionName=name, Payload=b"{}")
    except ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        if status not in (409, 429) and code_of(error) not in DENIED:
            raise
