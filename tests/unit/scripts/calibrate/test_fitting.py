from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lambda_image.data.distributions import LEVELS, SCORES, cde_loss, covered
from lambda_image.errors import InvalidEvent
from lambda_image.model.calibration import RedshiftCalibration
from scripts.calibrate.fitting import FEW, Labelled, fit, level_scores
from tests.unit.lambda_image.model.calibrations import calibration


def galaxies(count: int, seed: int = 0) -> Labelled:
    rng = np.random.default_rng(seed)
    magnitudes = 17 + rng.standard_normal((count, 5))
    predicted = rng.uniform(0.05, 0.3, count)
    return Labelled(predicted, magnitudes, predicted + 0.01 * rng.standard_normal(count))


def test_scores_of_normal_galaxies_are_normal():
    found = level_scores(np.random.default_rng(0).standard_normal(20_000))
    assert found[2:-2] == pytest.approx(SCORES[2:-2], abs=0.05)
    assert (np.diff(found) > 0).all()


def test_levels_that_too_few_galaxies_tell_are_stretched_as_the_last_one_that_is_told():
    found = level_scores(3 * np.random.default_rng(0).standard_normal(300))
    last = LEVELS.index(0.975)
    assert found[-1] / SCORES[-1] == pytest.approx(found[last] / SCORES[last], rel=1e-4)


@pytest.mark.parametrize("count", [FEW - 100, FEW + 100])
def test_error_bars_hold_their_share_after_a_short_fit(count: int):
    """Whatever the network has learnt, the scores see to the share."""
    calibration = fit(galaxies(count), "0" * 64, steps=15)
    assert len(calibration.layers) == (1 if count < FEW else 3)
    other = galaxies(4000, seed=1)
    found = calibration.describe(other.predicted, other.magnitudes)
    shares = {name: within.mean() for name, within in covered(found.quantiles, other.true).items()}
    assert shares == pytest.approx({"coverage_68": 0.68, "coverage_95": 0.95}, abs=0.06)
    assert (np.abs(other.true - other.predicted) <= found.redshift_err).mean() == pytest.approx(0.68, abs=0.06)


def test_the_scores_are_those_of_the_model_that_is_kept():
    """With a network for all of the galaxies and straight lines for each four fifths, error bars were too small."""
    calibrated = fit(galaxies(260), "0" * 64, steps=400, few=250)
    other = galaxies(4000, seed=1)
    found = calibrated.describe(other.predicted, other.magnitudes)
    assert (np.abs(other.true - other.predicted) <= found.redshift_err).mean() > 0.66
    assert covered(found.quantiles, other.true)["coverage_95"].mean() > 0.93


def test_an_implausible_prediction_moves_no_error_bars():
    given, other = galaxies(400), galaxies(1000, seed=1)
    given.predicted[7] = -1e4
    found = fit(given, "0" * 64, steps=100).describe(other.predicted, other.magnitudes)
    assert np.median(found.redshift_err) == pytest.approx(0.01, rel=0.3)


def test_a_wrong_true_redshift_does_not_spoil_the_distributions_of_others():
    given, other = galaxies(400), galaxies(1000, seed=1)
    given.true[7] = 15
    found = fit(given, "0" * 64, steps=100).describe(other.predicted, other.magnitudes)
    assert cde_loss(found.quantiles, other.true).mean() < -20


def test_the_same_seed_gives_the_same_calibration():
    one, same, other = (fit(galaxies(300), "0" * 64, seed, steps=5) for seed in (1, 1, 2))
    assert (one.scores == same.scores).all()
    assert not (one.scores == other.scores).all()


def test_a_model_that_predicts_true_redshifts_exactly_has_no_error_bars():
    given = galaxies(300)
    true = np.where(np.arange(300) % 4 > 0, given.predicted, given.true)
    with pytest.raises(InvalidEvent, match="68% of the true redshifts are exactly what the model predicts"):
        fit(given._replace(true=true), "0" * 64, steps=5)


@pytest.mark.parametrize("scores", [np.repeat([-1490.4, 1490.4], 100), np.full(200, 23.4), np.zeros(200)])
def test_equal_scores_make_a_calibration_that_can_be_read(tmp_path: Path, scores: np.ndarray):
    made = replace(calibration(), scores=level_scores(scores))
    made.write(tmp_path / "x.calibration.json")
    read = RedshiftCalibration.read(tmp_path / "x.calibration.json")
    assert read.scores == pytest.approx(made.scores, rel=1e-9)
