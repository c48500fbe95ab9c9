from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scripts.logs.run_logs import RunLogs, logs_of_run
from scripts.runs.place import Place
from scripts.stack.account import AccountError
from tests.unit.scripts.logs.made_exports import log
from tests.unit.scripts.stack.clients import Client, place_of, refused

START = datetime(2026, 11, 28, 12, tzinfo=UTC)
ARN = "arn:aws:states:eu-west-1:123456789012:execution:stars:run-1"
DONE = {"status": "SUCCEEDED", "startDate": START, "stopDate": START + timedelta(seconds=20)}


def events(ranks: int, run: str = "run-1") -> list[dict[str, Any]]:
    return [
        {"timestamp": one.time_ms, "message": one.message.replace("run-1", run), "logStreamName": one.stream}
        for one in log(ranks)
    ]


def place_with(
    pages: Callable[[str], list[dict[str, Any]]], names: tuple[str, ...] = ("init", "rank"), **described: Any
) -> Place:
    answer = {"name": "run-1", "executionArn": ARN, **DONE, **described}
    history = [
        {"type": "ExecutionStarted", "timestamp": START},
        {"type": "ExecutionSucceeded", "timestamp": START + timedelta(seconds=20)},
    ]
    stepfunctions = Client(
        {
            "describe_execution": lambda **_: answer.get("error", answer),
            "get_execution_history": lambda **_: {"events": history},
            "list_executions": lambda **_: {"executions": []},
            "list_map_runs": lambda **_: {"mapRuns": [{"mapRunArn": "map"}]},
            "describe_map_run": lambda **_: {"itemCounts": {"total": 3}},
        }
    )
    logs = Client({"filter_log_events": lambda **asked: {"events": pages(asked["logGroupName"])}})
    functions = {name: f"stars-{name}" for name in names}
    return place_of({"stepfunctions": stepfunctions, "logs": logs}, functions)


def of_ranks(group: str) -> list[dict[str, Any]]:
    return events(3) if group.endswith("rank") else []


def asked(place: Place, now_s: float = 1000.0, pauses: list[float] | None = None) -> RunLogs:
    sleep = (pauses if pauses is not None else []).append
    return logs_of_run(place, "run-1", sleep, lambda: START.timestamp() + now_s)


def test_the_log_groups_of_a_run_are_read_for_its_time():
    place = place_with(of_ranks)
    logs = asked(place)
    assert [one.rank for one in logs.found.invocations] == [0, 1, 2]
    assert (logs.status, logs.times.total_s, logs.ranks, logs.silent()) == ("SUCCEEDED", 20.0, 3, 0)
    arguments = place.client("logs").asked
    assert [one["logGroupName"] for _, one in arguments] == ["/aws/lambda/stars-init", "/aws/lambda/stars-rank"]
    assert arguments[0][1]["startTime"] == START.timestamp() * 1000
    assert arguments[0][1]["endTime"] == (START.timestamp() + 140) * 1000
    [(_, history)] = [one for one in place.client("stepfunctions").asked if one[0] == "get_execution_history"]
    assert history["includeExecutionData"] is False


def test_invocations_of_another_run_are_left_out():
    assert not asked(place_with(lambda group: events(3, "run-2"))).found.invocations


def test_reports_that_come_late_are_waited_for_only_after_a_run_that_has_just_ended():
    answers = iter([events(1), [], [], events(3)])  # of Init and of the ranks, twice
    pauses: list[float] = []
    assert asked(place_with(lambda _: next(answers)), 22.0, pauses).silent() == 0
    assert pauses == [2.0]
    pauses.clear()
    assert asked(place_with(lambda _: []), 22.0, pauses).silent() == 3
    assert pauses == [2.0] * 4
    pauses.clear()
    assert asked(place_with(lambda _: []), 500.0, pauses).silent() == 3
    assert pauses == []


@pytest.mark.parametrize(("status", "waited"), [("SUCCEEDED", [2.0]), ("FAILED", [])])
def test_the_report_of_the_last_function_is_waited_for_where_the_run_has_come_to_it(status: str, waited: list[float]):
    answers = iter([[], events(3), [], [], events(3), events(1)])  # of Init, the ranks and Summarize, twice
    pauses: list[float] = []
    place = place_with(lambda _: next(answers), ("init", "rank", "summarize"), status=status)
    assert asked(place, 22.0, pauses).is_told("summarize") is bool(waited)
    assert pauses == waited


def test_a_run_that_goes_on_is_read_up_to_now():
    place = place_with(of_ranks)
    client = place.client("stepfunctions")
    client.operations["describe_execution"] = lambda **_: {
        "name": "run-1",
        "executionArn": ARN,
        "status": "RUNNING",
        "startDate": START,
    }
    assert asked(place, 30.0).status == "RUNNING"
    assert place.client("logs").asked[0][1]["endTime"] == (START.timestamp() + 30) * 1000


def test_an_execution_that_is_not_there_is_one_line_with_the_next_step():
    with pytest.raises(AccountError, match="the stack stars has no run run-1: name another region"):
        asked(place_with(of_ranks, error=refused("ExecutionDoesNotExist")))
