import pytest

from scripts.bench.comm.operations import OPERATIONS
from scripts.bench.comm.plan import QUICK, CommPlan, format_size


def test_a_barrier_has_no_size():
    cases = [str(case) for case in CommPlan(sizes=(1_000, 20_000_000)).cases(("barrier", "gather"))]
    assert cases == ["barrier", "gather of 1 kB", "gather of 20 MB"]


def test_small_values_are_exchanged_more_often():
    counts = [CommPlan().count(size) for size in (0, 1_000, 1_000_000, 20_000_000)]
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] == CommPlan().fewest


def test_steps_are_rounds_of_contenders():
    plan = CommPlan(rounds=3, worlds=(2, 4), sizes=(1,))
    assert plan.steps(("barrier", "bcast")) == 2 * 2 * 3 * len(plan.contenders)
    assert QUICK.steps(OPERATIONS) < CommPlan().steps(OPERATIONS)


@pytest.mark.parametrize(("size", "words"), [(999, "999 bytes"), (1_000, "1 kB"), (1_500_000, "1.5 MB")])
def test_sizes_in_words(size: int, words: str):
    assert format_size(size) == words
