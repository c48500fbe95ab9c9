"""The comparison; the command, which trains small networks, is in tests/integration."""

import numpy as np
import pytest

from lambda_image import accuracy
from scripts.training.judge import compared


def test_predictions_are_compared_on_the_same_draws() -> None:
    rng = np.random.default_rng(0)
    truth = rng.uniform(0, 0.3, 500)
    model = truth + 0.01 * rng.normal(size=500)
    found = compared(model, truth + 1.05 * (model - truth), truth, rng)
    assert found["r2"].value == accuracy(model, truth).r2
    change = found["r2 change"]
    assert change.value == pytest.approx(0.1025 * (1 - found["r2"].value), rel=1e-6)
    assert 0 < change.low < change.value < change.high < 0.01
    assert found["nmad change"].high < 0


def test_equal_predictions_do_not_differ() -> None:
    truth = np.linspace(0, 0.3, 50)
    predicted = truth + 0.01 * np.sin(np.arange(50))
    change = compared(predicted, predicted, truth, np.random.default_rng(0))["nmad change"]
    assert (change.low, change.value, change.high) == (0, 0, 0)
