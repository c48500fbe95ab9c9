"""The measures of accuracy beside those of scikit-learn, whose import takes seconds."""

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

from lambda_image.metrics import accuracy


@pytest.mark.parametrize("seed", range(5))
def test_the_same_values_as_scikit_learn(seed: int):
    rng = np.random.default_rng(seed)
    true = rng.gamma(2, 0.1, 500)
    predicted = true + rng.normal(0.01, 0.04, 500) + (rng.random(500) < 0.05) * rng.normal(0, 0.5, 500)
    result = accuracy(predicted, true)
    assert result.mae == pytest.approx(mean_absolute_error(true, predicted), rel=1e-12)
    assert result.mse == pytest.approx(mean_squared_error(true, predicted), rel=1e-12)
    assert result.r2 == pytest.approx(r2_score(true, predicted), rel=1e-12)
