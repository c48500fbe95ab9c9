import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lambda_image.data.sizes import PUBLISHED, Sizes
from lambda_image.errors import CheckpointError
from lambda_image.model.calibrated import CalibratedEngine, calibrated, carry_calibration
from lambda_image.model.calibration import calibration_path
from lambda_image.model.protocols import UncertainEngine
from tests.unit.lambda_image.model.calibrations import RESIDUAL, calibration


class Constant:
    """Predicts 0.2 of every galaxy."""

    name, device, parameters_mb, sizes = "constant", "cpu", 1.5, PUBLISHED

    def predict(self, images, magnitudes):
        return np.full(len(images), 0.2, np.float32)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Weights with a calibration of their own beside them."""
    path = tmp_path / "mine.safetensors"
    path.write_bytes(b"weights")
    calibration(weights=digest(path)).write(calibration_path(path))
    return path


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_calibration_beside_the_weights_gives_error_bars(weights: Path):
    engine = calibrated(Constant(), weights)
    assert isinstance(engine, CalibratedEngine)
    assert isinstance(engine, UncertainEngine)
    assert (engine.name, engine.device, engine.parameters_mb, engine.sizes) == ("constant", "cpu", 1.5, PUBLISHED)
    redshifts, errors = engine.predict_with_errors(np.zeros((2, 5, 32, 32)), np.full((2, 5), 17))
    assert redshifts.tolist() == pytest.approx([0.2, 0.2])
    assert errors == pytest.approx(RESIDUAL, rel=0.01)


def test_without_one_the_engine_stays_what_it_was(tmp_path: Path):
    engine = Constant()
    assert calibrated(engine, tmp_path / "mine.safetensors") is engine


def test_one_for_other_weights_is_left_alone_and_told(weights: Path):
    weights.write_bytes(b"weights trained on")
    engine, told = Constant(), []
    assert calibrated(engine, weights, told.append) is engine
    assert "was made for other weights" in told[0]


def test_one_for_other_magnitudes_is_refused(weights: Path):
    engine = Constant()
    engine.sizes = Sizes(5, 32, 3)
    with pytest.raises(CheckpointError, match="is for 5 magnitudes, and the model takes 3"):
        calibrated(engine, weights)


def test_magnitudes_are_not_looked_at_where_the_model_takes_none(weights: Path):
    one = replace(calibration(magnitudes=0), weights_sha256=digest(weights))
    found = CalibratedEngine(Constant(), one).describe(np.array([0.2]), np.full((1, 5), np.nan))
    assert found.redshift_err == pytest.approx(RESIDUAL, rel=0.01)


@pytest.mark.parametrize("as_bytes", [False, True])
def test_it_follows_weights_that_are_converted(weights: Path, tmp_path: Path, as_bytes: bool):
    converted = tmp_path / "converted.safetensors"
    converted.write_bytes(b"the same in another format")
    given = calibration_path(weights)
    carry_calibration(given.read_bytes() if as_bytes else given, digest(weights), converted)
    assert isinstance(calibrated(Constant(), converted), CalibratedEngine)


@pytest.mark.parametrize("as_bytes", [False, True])
def test_weights_that_it_is_not_for_get_no_error_bars_and_that_is_told(weights: Path, tmp_path: Path, as_bytes: bool):
    converted, engine, told = tmp_path / "converted.safetensors", Constant(), []
    converted.write_bytes(b"others")
    given = calibration_path(weights)
    carry_calibration(given.read_bytes() if as_bytes else given, "f" * 64, converted)
    assert calibrated(engine, converted, told.append) is engine
    assert "was made for other weights" in told[0]
