import numpy as np
import pytest

from scripts.evaluate.bootstrap import GALAXIES_DRAWN, LEAST_RESAMPLES, MeasuredInterval, intervals


def test_the_interval_of_a_mean_is_what_theory_says():
    values = np.random.default_rng(1).standard_normal(2000)
    found = intervals(lambda rows: {"mean": float(values[rows].mean())}, 2000, 2000, np.random.default_rng(0))["mean"]
    half = 1.96 * values.std() / np.sqrt(2000)
    assert found.value == values.mean()
    assert found.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_the_same_seed_gives_the_same_interval():
    def measured(seed: int) -> MeasuredInterval:
        return intervals(lambda rows: {"sum": float(rows.sum())}, 30, 50, np.random.default_rng(seed))["sum"]

    assert measured(3) == measured(3) != measured(4)


def test_what_is_undefined_has_no_interval():
    def measure(rows):
        return {"never": None, "sometimes": None if 0 in rows[1:] else 1.0}

    found = intervals(measure, 20, 100, np.random.default_rng(0))
    assert found["never"] == MeasuredInterval(None)
    assert found["sometimes"] == MeasuredInterval(1.0)
    assert intervals(lambda rows: {"mean": None}, 0, 100, np.random.default_rng(0)) == {"mean": MeasuredInterval(None)}


def test_very_many_galaxies_are_drawn_less_often():
    drawn = []
    count = GALAXIES_DRAWN // 50
    intervals(lambda rows: drawn.append(len(rows)) or {}, count, 1000, np.random.default_rng(0))
    assert len(drawn) == 1 + LEAST_RESAMPLES
