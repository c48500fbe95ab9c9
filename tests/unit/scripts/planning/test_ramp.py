import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.planning.ramp import start_times


def test_a_burst_starts_at_once():
    starts = start_times([5.0] * 1000, 1000)
    assert (set(starts.at), starts.refused, starts.given_up) == ({0.0}, 0, 0)


def test_a_thousand_more_every_ten_seconds():
    starts = start_times([1e6] * 4000, 10_000)
    for seconds in (9.9, 19.9, 29.9):
        assert sum(at <= seconds for at in starts.at) <= 1000 * (1 + int(seconds / 10))
    assert starts.refused > 0
    assert 30 <= max(starts.at) < 60  # the last thousand is allowed at 30 s, and its pauses are 20 s at most


def test_ranks_over_the_quota_wait_for_others_to_end():
    starts = start_times([10.0] * 300, 100)
    assert sum(at == 0 for at in starts.at) == 100
    assert sorted(starts.at)[100] >= 10
    assert sorted(starts.at)[200] >= 20


def test_tries_are_used_up():
    starts = start_times([1e9] * 3, 2)
    assert (starts.given_up, starts.refused) == (1, 80)


def test_a_plan_gives_the_same_answer_each_time():
    assert start_times([7.0] * 1500, 1200) == start_times([7.0] * 1500, 1200)


@given(st.lists(st.floats(0.1, 100), min_size=1, max_size=60), st.integers(1, 20))
def test_no_more_run_at_a_time_than_the_quota(durations: list[float], quota: int):
    starts = start_times(durations, quota)
    events = sorted(
        event for at, duration in zip(starts.at, durations, strict=True) for event in ((at, 1), (at + duration, -1))
    )
    running = 0
    for _, change in events:  # of two at one moment, an end comes first
        running += change
        assert running <= quota + starts.given_up


@pytest.mark.parametrize("quota", [1, 1000])
def test_no_ranks(quota: int):
    assert start_times([], quota).at == []
