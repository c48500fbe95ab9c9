import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.bench.rounds import Series, Spread, bars, percentile, ratios, spread

VALUES = st.lists(st.floats(-1e6, 1e6), min_size=1)


def test_the_middle_round_and_the_outermost():
    assert spread([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0)


@pytest.mark.parametrize(("percent", "expected"), [(0, 1), (1, 1), (50, 50), (99, 99), (99.5, 100), (100, 100)])
def test_percentiles_are_values_that_occurred(percent: float, expected: float):
    assert percentile([float(value) for value in range(100, 0, -1)], percent) == expected


@given(VALUES, st.floats(0, 100))
def test_at_least_so_many_values_do_not_exceed_a_percentile(values: list[float], percent: float):
    limit = percentile(values, percent)
    assert limit in values
    assert sum(value <= limit for value in values) >= percent / 100 * len(values) - 1e-9


def test_a_series_sums_up_what_all_its_rounds_have():
    series = Series({"in_flight": 2}, [{"p99_ms": 1.0, "cpu_us": 3.0}, {"p99_ms": 2.0}])
    assert series.figures() == {"p99_ms": Spread(1.5, 1.0, 2.0)}
    assert series.to_json() == {
        "in_flight": 2,
        "figures": {"p99_ms": {"median": 1.5, "low": 1.0, "high": 2.0}},
        "rounds": series.rounds,
    }


def test_a_series_without_rounds_has_no_figures():
    assert Series({}).figures() == {}


def test_ratios_are_taken_between_neighbours_and_of_what_both_have():
    ours = [{"rate": 6.0, "cpu": 1.0}, {"rate": 8.0, "cpu": 1.0}, {"rate": 9.0}]
    theirs = [{"rate": 3.0}, {"rate": 2.0, "cpu": 0.0}]
    assert ratios(ours, theirs, ["rate", "cpu"]) == [{"rate": 2.0}, {"rate": 4.0}]


def test_bars_reach_from_the_median_to_the_outermost_rounds():
    figures = [{"median": 2.0, "low": 1.5, "high": 5.0}, {"median": 3.0, "low": 3.0, "high": 3.0}]
    assert bars(figures) == ([2.0, 3.0], ([0.5, 0.0], [3.0, 0.0]))
