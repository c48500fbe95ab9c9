import pytest

from lambda_image.errors import RunOverdue
from lambda_image.events import parse
from lambda_image.manifest import WAVE_S, Assignment, assignments
from lambda_image.run_time import MAX_TIME_LIMIT_S, Waves, ended_by, plan_waves, refuse_late, wall_time_s

STARTED_AT = 100.0


@pytest.mark.parametrize(
    ("world_size", "max_concurrency", "waves"),
    [
        (6, None, Waves(0, 1, WAVE_S)),
        (6, 6, Waves(0, 1, WAVE_S)),
        (6, 10_000, Waves(0, 1, WAVE_S)),
        (6, 5, Waves(5, 2, 2 * WAVE_S)),
        (6, 2, Waves(2, 3, 3 * WAVE_S)),
        (10_000, 1, Waves(1, 10_000, MAX_TIME_LIMIT_S)),
    ],
)
def test_ranks_that_may_not_all_work_at_once_take_turns_and_have_time_for_it(world_size, max_concurrency, waves):
    assert plan_waves(world_size, max_concurrency) == waves


def test_only_one_wave_has_all_ranks_at_once():
    assert plan_waves(6, None).all_at_once
    assert not plan_waves(6, 5).all_at_once


def item(time_limit_s: float = WAVE_S) -> Assignment:
    request = parse({"bucket": "b", "data_prefix": "d"}, "arn:run")
    return list(assignments(request, [[], []], "00", STARTED_AT, time_limit_s))[1]


def test_a_rank_whose_turn_comes_after_the_runs_time_is_refused():
    refuse_late(item(20.0), "1970-01-01T00:02:00Z")
    with pytest.raises(RunOverdue, match=r"rank 1 was not begun: its turn came 21 s .* had 20 s .*max_concurrency"):
        refuse_late(item(20.0), "1970-01-01T00:02:01Z")


@pytest.mark.parametrize("entered_at", [None, "soon", "1970-01-01T00:00:00Z"])
def test_a_clock_that_does_not_say_refuses_nobody(entered_at: object):
    refuse_late(item(0.0), entered_at)


def test_a_run_has_ended_when_its_last_ranks_must_have():
    assert ended_by(item(30.0)) == STARTED_AT + 30.0 + WAVE_S


@pytest.mark.parametrize(
    ("entered_at", "wall_s"),
    [("1970-01-01T00:02:00Z", 20.0), ("1970-01-01T00:00:00Z", None), (None, None), ("soon", None)],
)
def test_the_wall_time_comes_from_one_clock_or_is_unknown(entered_at: object, wall_s: float | None):
    assert wall_time_s(STARTED_AT, entered_at) == wall_s
