"""What the rank's function makes of an invocation's event and time."""

import pytest

from lambda_image.errors import InvalidEvent, RunOverdue
from lambda_image.handlers.rank import RECORD_TIME_S
from tests.unit.lambda_image.handlers.rank_stage import NOW, RECORD, Stage


def test_the_cold_start_counts_once():
    stage = Stage()
    seen = []
    for _ in range(2):
        stage.s3.objects.pop(RECORD, None)
        stage.invoke()
        seen.append(stage.json(RECORD)["phases"]["cold_start_s"])
    assert seen == [7.0, 0.0]


def test_a_check_of_connections_is_answered_without_a_run():
    stage = Stage()
    check = {"run_id": "c", "run_key": "0" * 64, "rank": 0, "servers": [], "megabytes": 1, "timeout_s": 1}
    told = stage.function({"check": check}, None)
    assert told["cold_start"]["cold_start_s"] == 7.0
    assert told["engine"] == stage.engine.name
    assert stage.journal == []
    stage.invoke()
    assert stage.json(RECORD)["phases"]["cold_start_s"] == 0.0  # the process had answered before


@pytest.mark.parametrize("event", [{}, {"attempt": 1}, [1], None, {"check": {}, "attempt": 0}])
def test_what_the_state_machine_did_not_send_is_refused(event):
    with pytest.raises(InvalidEvent, match="invoked by the state machine"):
        Stage().function(event, None)


@pytest.mark.parametrize(
    ("gather_timeout_s", "time_left_s", "wait_s"),
    [(60.0, 900.0, 60.0), (60.0, 40.0, 40.0 - RECORD_TIME_S), (0.0, 900.0, 0.0)],
)
def test_the_gather_ends_in_time_to_write_the_record(gather_timeout_s, time_left_s, wait_s):
    stage = Stage(gather_timeout_s=gather_timeout_s)
    stage.invoke(time_left_s=time_left_s)
    assert stage.communicator.gathered[0]["deadline"] == NOW + wait_s


@pytest.mark.parametrize(
    ("left_s", "works_s"),
    [(900, 890), (40, 30), (8, 6), (0, 890), (-10_000, 890), (11_700, 890)],
    ids=["all", "less", "little", "none", "a clock ahead", "a clock behind"],
)
def test_the_time_that_is_left_is_taken_for_what_it_can_be(left_s, works_s):
    stage = Stage(gather_timeout_s=840.0 * 2)
    stage.invoke(time_left_s=left_s)
    assert stage.communicator.gathered[0]["deadline"] == NOW + works_s


@pytest.mark.parametrize("entered_at", ["1970-01-01T02:16:40Z", None])
def test_a_rank_whose_turn_comes_in_time_works(entered_at):
    stage = Stage()
    stage.function({"item": stage.assignment.to_json(), "entered_at": entered_at}, stage.context())
    assert RECORD in stage.s3.objects


def test_a_rank_whose_turn_comes_too_late_does_nothing():
    stage = Stage()
    with pytest.raises(RunOverdue):
        stage.function({"item": stage.assignment.to_json(), "entered_at": "1970-01-01T02:16:41Z"}, stage.context())
    assert not stage.journal
