"""The state machine against the project's own rules, and the errors that the functions raise."""

import json
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from lambda_image import errors
from lambda_image.manifest import WAVE_S, Run
from lambda_image.run_time import MAX_TIME_LIMIT_S
from statemachine.definition import DEFINITION
from statemachine.local.settings import FUNCTIONS

MACHINE = json.loads(DEFINITION.read_text())
RANKS = MACHINE["States"]["Ranks"]
RANK = RANKS["ItemProcessor"]["States"]["Rank"]
REFUSALS = {  # with which Lambda starts nothing: too many at once, a function that wakes or changes, a VPC without room
    "Lambda.TooManyRequestsException",
    "Lambda.CodeArtifactUserPendingException",
    "Lambda.ResourceConflictException",
    "Lambda.ResourceNotReadyException",
    "Lambda.EC2ThrottledException",
    "Lambda.EC2UnexpectedException",
    "Lambda.ENILimitReachedException",
    "Lambda.ENINotReadyException",
    "Lambda.SubnetIPAddressLimitReachedException",
}


def machines(machine: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The machine and those inside its Map states."""
    yield machine
    for state in machine["States"].values():
        if "ItemProcessor" in state:
            yield from machines(state["ItemProcessor"])


def states() -> Iterator[tuple[str, dict[str, Any]]]:
    for machine in machines(MACHINE):
        yield from machine["States"].items()


def tasks() -> dict[str, dict[str, Any]]:
    return {name: state for name, state in states() if state["Type"] == "Task"}


def run_errors() -> set[str]:
    """The class names of everything that a function raises for a run that fails."""
    named = vars(errors).items()
    return {name for name, item in named if isinstance(item, type) and issubclass(item, errors.RunError)}


def matched(matchers: list[dict[str, Any]]) -> set[str]:
    """The errors that retriers or catchers name."""
    return {error for matcher in matchers for error in matcher["ErrorEquals"]}


def test_every_next_exists_and_every_state_is_reached() -> None:
    for machine in machines(MACHINE):
        named = {machine["StartAt"]}
        for state in machine["States"].values():
            targets = {state["Next"]} if "Next" in state else set()
            targets |= {catcher["Next"] for catcher in state.get("Catch", [])}
            assert targets or state.get("End") or state["Type"] in ("Fail", "Succeed")
            named |= targets
        assert named == machine["States"].keys()


def longest_s(task: dict[str, Any]) -> float:
    """A task with all its attempts, each as long as it may be, and all its waits, each as long as it may be."""
    at_work = [
        retrier["MaxAttempts"]
        for retrier in task["Retry"]
        if matched([retrier]) != REFUSALS and "Lambda.ServiceException" not in matched([retrier])
    ]
    waits = sum(retrier["MaxDelaySeconds"] * retrier["MaxAttempts"] for retrier in task["Retry"])
    return float(task["TimeoutSeconds"] * (1 + sum(at_work)) + waits)


def test_every_wait_ends() -> None:
    """A task outlasts its function's own timeout, a wave its ranks, and the machine the longest run that Init plans."""
    for name, task in tasks().items():
        function = FUNCTIONS[name.lower()]
        assert function.timeout_s < task["TimeoutSeconds"] <= function.timeout_s + 20
    assert longest_s(RANK) < WAVE_S
    assert longest_s(tasks()["Init"]) < WAVE_S  # so that the ranks of the first wave begin in time
    longest_run_s = MAX_TIME_LIMIT_S + WAVE_S + longest_s(tasks()["Summarize"])
    assert longest_run_s < MACHINE["TimeoutSeconds"] < 365 * 86_400  # the longest that Step Functions grants


def test_every_retry_backs_off_with_full_jitter_and_ends() -> None:
    retriers = [retrier for _, state in states() for retrier in state.get("Retry", [])]
    assert retriers
    for retrier in retriers:
        assert retrier["JitterStrategy"] == "FULL"
        assert retrier["BackoffRate"] > 1
        assert 1 <= retrier["IntervalSeconds"] < retrier["MaxDelaySeconds"]
        assert retrier["MaxAttempts"] >= 1
        assert retrier["MaxAttempts"] <= 5 or matched([retrier]) == REFUSALS
        assert "States.ALL" not in retrier["ErrorEquals"]
        assert "States.TaskFailed" not in retrier["ErrorEquals"]


def test_refused_starts_are_retried_by_time() -> None:
    """Full jitter waits half of the longest delay on average. An idle function wakes within a minute or so, and ranks
    that exceed the account's quota get their turn when others are done."""
    for name, task in tasks().items():
        [refused] = [retrier for retrier in task["Retry"] if "Lambda.TooManyRequestsException" in matched([retrier])]
        assert matched([refused]) == REFUSALS
        average_s = refused["MaxDelaySeconds"] / 2 * refused["MaxAttempts"]
        assert average_s >= 900, name


def test_times_are_taken_by_the_clock_that_started_the_run() -> None:
    assert RANK["Parameters"]["Payload"]["entered_at.$"] == "$$.State.EnteredTime"
    assert MACHINE["States"]["Summarize"]["Parameters"]["Payload"]["entered_at.$"] == "$$.State.EnteredTime"
    assert MACHINE["States"]["Init"]["Parameters"]["Payload"]["started_at.$"] == "$$.Execution.StartTime"


def test_every_task_catches_whatever_is_left() -> None:
    for name, state in states():
        if state["Type"] in ("Task", "Map"):
            assert state["Catch"][-1]["ErrorEquals"] == ["States.ALL"], name


def test_ranks_retry_the_errors_that_say_they_are_transient_and_no_others() -> None:
    transient = {error for error in run_errors() if getattr(errors, error).transient}
    assert {error for error in matched(RANK["Retry"]) if "." not in error} == transient


def test_every_error_that_is_matched_is_one_of_ours_or_of_a_service() -> None:
    """Lambda reports a class by its bare name; services put theirs behind a dot."""
    named = {error for _, state in states() for key in ("Retry", "Catch") for error in matched(state.get(key, []))}
    assert {error for error in named if "." not in error} <= run_errors()


def test_every_task_retries_what_fails_around_the_function() -> None:
    for name, task in tasks().items():
        assert matched(task["Retry"]) >= {
            "Lambda.ServiceException",
            "Lambda.AWSLambdaException",
            "Lambda.SdkClientException",
            "Lambda.TooManyRequestsException",
            "Lambda.Unknown",
            "States.Timeout",
            "Sandbox.Timedout",
            "Runtime.ExitError",
        }, name


def test_ranks_run_at_once_from_the_manifest() -> None:
    assert RANKS["ItemProcessor"]["ProcessorConfig"]["Mode"] == "DISTRIBUTED"
    assert RANKS["MaxConcurrencyPath"] == "$.run.max_concurrency"  # 0 means 10,000, as ranks that gather need it
    assert RANKS["MaxConcurrencyPath"].removeprefix("$.run.") in {field.name for field in fields(Run)}
    assert RANKS["ItemReader"]["ReaderConfig"] == {"InputType": "JSON"}


def test_a_failed_rank_tells_its_rank_and_error_and_not_the_runs_key() -> None:
    [catcher] = RANK["Catch"]
    failed = RANKS["ItemProcessor"]["States"][catcher["Next"]]
    assert failed["Parameters"] == {"rank.$": "$.rank", "error.$": "$.error"}


def test_failures_carry_the_caught_error() -> None:
    for name in ("Init", "Summarize"):
        [catcher] = MACHINE["States"][name]["Catch"]
        fail = MACHINE["States"][catcher["Next"]]
        assert fail["Type"] == "Fail"
        assert fail["ErrorPath"] == f"{catcher['ResultPath']}.Error"
        assert fail["CausePath"] == f"{catcher['ResultPath']}.Cause"
