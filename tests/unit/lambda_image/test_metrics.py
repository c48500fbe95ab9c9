import math
import re
import warnings
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambda_image.metrics import MEASURES, Accuracy, accuracy

COUNTS = ("samples", "without_truth", "without_prediction")
NOTHING = Accuracy(0, *(None,) * (len(asdict(accuracy([], []))) - len(COUNTS)))
AWKWARD = (math.nan, math.inf, -math.inf, -1.0, -9999.0, 0.0, 0.1, 0.3, 1e20, -1e38, 1e38, 1e200, 1e308, -1e308, 5e-324)


def test_against_values_worked_out_by_hand():
    result = accuracy([0.1, 0.3, 0.2, 0.5], [0.1, 0.2, 0.3, 0.4])
    assert (result.samples, result.without_truth, result.without_prediction) == (4, 0, 0)
    assert result.mae == pytest.approx(0.075)
    assert result.mse == pytest.approx(0.0075)
    assert result.mean_error == pytest.approx(0.025)
    assert result.r2 == pytest.approx(1 - 0.03 / 0.05)
    relative = [0, 0.1 / 1.2, -0.1 / 1.3, 0.1 / 1.4]
    assert result.bias == pytest.approx(sum(relative) / 4)
    median = (relative[0] + relative[3]) / 2
    deviations = sorted(abs(one - median) for one in relative)
    assert result.nmad == pytest.approx(1.4826 * (deviations[1] + deviations[2]) / 2)
    assert result.outliers_005 == 0.75
    assert result.outliers_015 == 0


def test_an_outlier_lies_beyond_the_limit_and_not_on_it():
    truth = np.zeros(4)
    result = accuracy([0.05, -0.06, 0.15, -0.16], truth)
    assert (result.outliers_005, result.outliers_015) == (0.75, 0.25)


@pytest.mark.parametrize("seed", range(5))
def test_against_sums_without_rounding(seed: int):
    rng = np.random.default_rng(seed)
    z = rng.gamma(2, 0.1, 500)
    predicted = z + rng.normal(0.01, 0.04, 500) + (rng.random(500) < 0.05) * rng.normal(0, 0.5, 500)
    result = accuracy(predicted, z)
    errors = [float(a) - float(b) for a, b in zip(predicted, z, strict=True)]
    squares, mean = math.fsum(error**2 for error in errors), math.fsum(z) / 500
    assert result.mae == pytest.approx(math.fsum(map(abs, errors)) / 500, rel=1e-12)
    assert result.mse == pytest.approx(squares / 500, rel=1e-12)
    assert result.r2 == pytest.approx(1 - squares / math.fsum((one - mean) ** 2 for one in z), rel=1e-12)
    relative = [(float(a) - float(b)) / (1 + float(b)) for a, b in zip(predicted, z, strict=True)]
    bias = math.fsum(relative) / 500
    assert result.bias == pytest.approx(bias, rel=1e-9)
    assert result.mean_error == pytest.approx(math.fsum(predicted - z) / 500, rel=1e-9)
    assert result.sigma == pytest.approx(math.sqrt(math.fsum((one - bias) ** 2 for one in relative) / 500), rel=1e-9)
    assert result.outliers_005 == sum(abs(one) > 0.05 for one in relative) / 500
    assert result.outliers_015 == sum(abs(one) > 0.15 for one in relative) / 500
    middle = sorted(relative)[249:251]
    deviations = sorted(abs(one - sum(middle) / 2) for one in relative)[249:251]
    assert result.nmad == pytest.approx(1.4826 * sum(deviations) / 2, rel=1e-9)


@pytest.mark.parametrize("placeholder", [math.nan, -1, -9999, math.inf, -math.inf, 99])
def test_rows_without_truth_count_for_nothing(placeholder: float):
    clean = accuracy([0.1, 0.4, 0.3], [0.2, 0.3, 0.1])
    assert accuracy([0.1, 9.0, 0.4, 0.3], [0.2, placeholder, 0.3, 0.1]) == replace(clean, without_truth=1)
    assert accuracy([0.1], [placeholder]) == replace(NOTHING, without_truth=1)


@pytest.mark.parametrize("answer", [math.nan, math.inf, -math.inf])
def test_rows_without_a_prediction_count_for_nothing(answer: float):
    clean = accuracy([0.1, 0.4, 0.3], [0.2, 0.3, 0.1])
    assert accuracy([0.1, answer, 0.4, 0.3], [0.2, 0.2, 0.3, 0.1]) == replace(clean, without_prediction=1)
    assert accuracy([answer], [0.1]) == replace(NOTHING, without_prediction=1)
    assert accuracy([answer, answer], [0.1, -1]) == replace(NOTHING, without_prediction=1, without_truth=1)


def test_r2_is_undefined_where_the_truth_does_not_vary():
    assert accuracy([0.1, 0.2], [0.3, 0.3]).r2 is None
    assert accuracy([0.1], [0.3]).r2 is None


def test_no_true_redshifts_at_all_are_none():
    assert accuracy([0.1, 0.2], None) == replace(NOTHING, without_truth=2)
    assert accuracy([], []) == NOTHING


@given(st.lists(st.tuples(st.sampled_from(AWKWARD) | st.floats(), st.sampled_from(AWKWARD) | st.floats()), max_size=9))
def test_every_measure_of_any_values_is_finite_or_none_and_every_row_is_counted_once(rows):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = asdict(accuracy([row[0] for row in rows], [row[1] for row in rows]))
    assert sum(found.pop(name) for name in COUNTS) == len(rows)
    assert all(value is None or math.isfinite(value) for value in found.values())


@pytest.mark.parametrize(("predicted", "true"), [([0.1, 0.2], [0.1]), ([[0.1], [0.2]], [0.1, 0.2]), (0.1, 0.1)])
def test_shapes_that_do_not_fit_are_named(predicted, true):
    with pytest.raises(ValueError, match=r"predicted redshifts have the shape .*; \[N\] is needed of both"):
        accuracy(predicted, true)


def test_it_is_printed_as_the_table_that_a_run_shows():
    lines = str(accuracy([0.1, 0.4, 0.3, 0.2], [0.2, 0.3, 0.1, -9999])).splitlines()
    assert lines[0].split() == ["galaxies", "3"]
    assert lines[1].split() == ["R²", "-2.0000"]
    assert [re.split("  +", line)[0] for line in lines[1:8]] == [name for name, _, _ in MEASURES]
    assert lines[-1] == "not in the accuracy  1 without a true redshift"
    assert len({line.index(re.split("  +", line)[1]) for line in lines}) == 1  # values stand below each other
    assert str(accuracy([0.1], None)).splitlines()[1] == "accuracy  unknown (no true redshifts)"
