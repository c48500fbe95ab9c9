import numpy as np
import pytest

from lambda_image.metrics import Accuracy, accuracy


def test_against_values_worked_out_by_hand():
    result = accuracy([0.1, 0.3, 0.2, 0.5], [0.1, 0.2, 0.3, 0.4])
    assert result.samples == 4
    assert result.mae == pytest.approx(0.075)
    assert result.mse == pytest.approx(0.0075)
    assert result.bias == pytest.approx(0.025)
    assert result.r2 == pytest.approx(1 - 0.03 / 0.05)
    relative = np.array([0, 0.1 / 1.2, -0.1 / 1.3, 0.1 / 1.4])
    assert result.nmad == pytest.approx(1.4826 * np.median(abs(relative - np.median(relative))))


def test_rows_without_truth_count_for_nothing():
    assert accuracy([0.1, 9.0], [0.2, np.nan]).samples == 1
    assert accuracy([0.1], [np.nan]) == Accuracy(0, None, None, None, None, None)
    assert accuracy([], []).samples == 0


def test_r2_is_undefined_where_the_truth_does_not_vary():
    assert accuracy([0.1, 0.2], [0.3, 0.3]).r2 is None


def test_no_true_redshifts_at_all_are_none():
    assert accuracy([0.1, 0.2], None) == Accuracy(0, None, None, None, None, None)


@pytest.mark.parametrize(("predicted", "true"), [([0.1, 0.2], [0.1]), ([[0.1], [0.2]], [0.1, 0.2]), (0.1, 0.1)])
def test_shapes_that_do_not_fit_are_named(predicted, true):
    with pytest.raises(ValueError, match=r"predicted redshifts have the shape .*; \[N\] is needed of both"):
        accuracy(predicted, true)
