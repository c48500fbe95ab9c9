from scripts.bench.picture import error_bars


def entry(median: float, low: float, high: float) -> dict[str, dict[str, dict[str, float]]]:
    return {"figures": {"ms": {"median": median, "low": low, "high": high}}}


def test_error_bars_reach_from_the_median_to_the_outermost_rounds():
    assert error_bars([entry(2.0, 1.5, 5.0), entry(3.0, 3.0, 3.0)], "ms") == ([2.0, 3.0], ([0.5, 0.0], [3.0, 0.0]))
