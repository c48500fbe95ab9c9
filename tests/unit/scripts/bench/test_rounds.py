import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.bench.errors import BenchmarkError
from scripts.bench.rounds import Attempts, percentile, ratio_of_medians, ratios
from scripts.series import Round

VALUES = st.lists(st.floats(-1e6, 1e6), min_size=1)


@pytest.mark.parametrize(("percent", "expected"), [(0, 1), (1, 1), (50, 50), (99, 99), (99.5, 100), (100, 100)])
def test_percentiles_are_values_that_occurred(percent: float, expected: float):
    assert percentile([float(value) for value in range(100, 0, -1)], percent) == expected


@given(VALUES, st.floats(0, 100))
def test_at_least_so_many_values_do_not_exceed_a_percentile(values: list[float], percent: float):
    limit = percentile(values, percent)
    assert limit in values
    assert sum(value <= limit for value in values) >= percent / 100 * len(values) - 1e-9


def test_ratios_are_taken_between_neighbours_and_of_what_both_have():
    ours = [{"rate": 6.0, "cpu": 1.0}, {"rate": 8.0, "cpu": 1.0}, {"rate": 9.0}]
    theirs = [{"rate": 3.0}, {"rate": 2.0, "cpu": 0.0}]
    assert ratios(ours, theirs, ["rate", "cpu"]) == [{"rate": 2.0}, {"rate": 4.0}]


def test_what_fails_is_noted_and_not_tried_again():
    tried: list[str] = []

    def fail() -> Round:
        tried.append("broken")
        raise BenchmarkError("it stopped")

    attempts = Attempts()
    assert [attempts.attempt("broken", fail) for _ in range(2)] == [{}, {}]
    assert attempts.attempt("sound", lambda: {"ms": 1.0}) == {"ms": 1.0}
    assert attempts.failures == ["broken: it stopped"]
    assert tried == ["broken"]


def rounds(*values: float) -> list[Round]:
    return [{"s": value} for value in values]


def test_the_interval_of_a_ratio_of_medians_lies_around_it_and_is_the_same_each_time():
    ours, theirs = rounds(*(1.1 + i % 7 / 100 for i in range(30))), rounds(*(1.0 + i % 5 / 100 for i in range(30)))
    interval = ratio_of_medians(ours, theirs, "s")
    assert interval.middle == pytest.approx(1.13 / 1.02)
    assert 1.05 < interval.low < interval.middle < interval.high < 1.2
    assert ratio_of_medians(ours, theirs, "s") == interval


def test_pairs_are_drawn_and_not_single_rounds():
    busy = [1.0, 10.0] * 15  # minutes that were slow for both
    assert ratio_of_medians(rounds(*(2 * s for s in busy)), rounds(*busy), "s").high == pytest.approx(2.0)


def test_pairs_must_be_whole():
    with pytest.raises(ValueError, match="longer"):
        ratio_of_medians(rounds(1.0), rounds(1.0, 2.0), "s")
