"""A calibration that is fitted as `cosmicai calibrate` fits it, to galaxies whose error bars are known."""

import numpy as np
import pytest

from lambda_image.data.distributions import cde_loss, covered, pit, uniform_distance
from scripts.calibrate.fitting import Labelled, fit


def galaxies(count: int, seed: int) -> Labelled:
    """Redder galaxies have smaller errors, fainter ones a bias, and outliers are on one side."""
    rng = np.random.default_rng(seed)
    magnitudes = 17 + rng.standard_normal((count, 5))
    predicted = rng.uniform(0.05, 0.3, count)
    width = 0.01 * np.exp(0.5 * (magnitudes[:, 2] - magnitudes[:, 1]))
    bias = 0.01 * (magnitudes[:, 2] - 17)
    return Labelled(predicted, magnitudes, predicted + bias + width * (rng.gamma(4, 0.5, count) - 2))


@pytest.mark.timeout(300)
def test_error_bars_are_right_for_every_kind_of_galaxy():
    calibration = fit(galaxies(3000, 0), "0" * 64, steps=600)
    other = galaxies(6000, 1)
    found = calibration.describe(other.predicted, other.magnitudes)
    assert uniform_distance(pit(found.quantiles, other.true)) < 0.03
    colour = other.magnitudes[:, 1] - other.magnitudes[:, 2]
    for values in (other.magnitudes[:, 2], colour, other.predicted):
        places = np.searchsorted(np.quantile(values, [0.2, 0.4, 0.6, 0.8]), values)
        for place in range(5):
            rows = places == place
            shares = {k: v.mean() for k, v in covered(found.quantiles[rows], other.true[rows]).items()}
            assert shares == pytest.approx({"coverage_68": 0.68, "coverage_95": 0.95}, abs=0.05)
    assert (np.abs(other.true - other.predicted) <= found.redshift_err).mean() == pytest.approx(0.68, abs=0.02)
    alike = calibration.describe(other.predicted, np.tile(other.magnitudes.mean(axis=0), (len(other.true), 1)))
    assert cde_loss(found.quantiles, other.true).mean() < 1.2 * cde_loss(alike.quantiles, other.true).mean() < 0
