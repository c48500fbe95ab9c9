"""The invocations of one run, from its log groups, as far as they have come."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from scripts.logs.cloudwatch import Sleep, events_of_group
from scripts.logs.history import ExecutionTimes, execution_times
from scripts.logs.invocations import FoundInvocations, find_invocations
from scripts.runs.finding import find_execution
from scripts.runs.place import Place

MARGIN_MS = 120_000  # after the end: a rank whose time Step Functions gave up on ends later, and clocks differ
LAST = "summarize"
SETTLING_S, SETTLING_TRIES = 2.0, 5  # CloudWatch shows what was logged a few seconds later


@dataclass(frozen=True)
class RunLogs:
    """What the logs tell of one run."""

    execution: str  # its ARN
    status: str
    times: ExecutionTimes
    ranks: int | None  # how many the Map began; None where it did not come so far
    found: FoundInvocations

    @property
    def run_id(self) -> str:
        return self.execution.rpartition(":")[2]

    def silent(self) -> int:
        """Counts the ranks of which no invocation is reported."""
        return 0 if self.ranks is None else max(0, self.ranks - len(_ranks(self.found)))

    def is_told(self, function: str) -> bool:
        """Tells whether an invocation of a function is reported."""
        return any(one.function == function for one in self.found.invocations)


def logs_of_run(
    place: Place, execution: str, sleep: Sleep = time.sleep, now: Callable[[], float] = time.time
) -> RunLogs:
    """Gathers what the logs tell of an execution.

    Args:
        place: Where it ran.
        execution: Its name or ARN.
        sleep: Waits for so many seconds.
        now: Gives seconds since the epoch.

    Raises:
        AccountError: there is no such execution, or something is refused.
    """
    described = find_execution(place, execution)
    arn, client = described["executionArn"], place.client("stepfunctions")
    times = times_of(client, arn)
    ranks = _rank_count(client, arn)
    for attempt in range(SETTLING_TRIES):
        found = _find(place, described, now)
        logs = RunLogs(arn, described["status"], times, ranks, found)
        fresh = "stopDate" in described and now() - described["stopDate"].timestamp() < SETTLING_S * SETTLING_TRIES
        # Summarize ends last, and a run that succeeded has had it.
        last = logs.status != "SUCCEEDED" or LAST not in place.functions or logs.is_told(LAST)
        if (last and not logs.silent()) or not fresh or attempt == SETTLING_TRIES - 1:
            break
        sleep(SETTLING_S)
    return logs


def times_of(client: Any, arn: str) -> ExecutionTimes:
    """Asks how long an execution took.

    Args:
        client: Of Step Functions.
        arn: The execution.
    """
    pages = client.get_paginator("get_execution_history").paginate(
        executionArn=arn,
        includeExecutionData=False,  # it holds the key of the run, and can be large
    )
    return execution_times(event for page in pages for event in page["events"])


def _rank_count(client: Any, arn: str) -> int | None:
    runs = client.list_map_runs(executionArn=arn)["mapRuns"]
    if not runs:
        return None
    return int(client.describe_map_run(mapRunArn=runs[0]["mapRunArn"])["itemCounts"]["total"])


def _find(place: Place, described: dict[str, Any], now: Callable[[], float]) -> FoundInvocations:
    start_ms = _milliseconds(described["startDate"])
    end_ms = _milliseconds(described["stopDate"]) + MARGIN_MS if "stopDate" in described else int(now() * 1000)
    client, run_id = place.client("logs"), described["name"]
    merged = FoundInvocations()
    for function in place.functions:
        events = events_of_group(client, place.log_group(function), start_ms, end_ms)
        found = find_invocations(events, function)
        # Others may run at the same time, in the same environments.
        merged.invocations += [one for one in found.invocations if one.run_id in (None, run_id)]
        merged.events += found.events
        merged.duplicates += found.duplicates
        merged.unreadable += found.unreadable
    return merged


def _ranks(found: FoundInvocations) -> set[int]:
    return {one.rank for one in found.invocations if one.rank is not None}


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
