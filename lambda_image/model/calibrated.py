"""An engine whose redshifts have error bars, by a calibration that lies beside its weights."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lambda_image.errors import CheckpointError
from lambda_image.model.calibration import PhotoZ, RedshiftCalibration, calibration_path
from lambda_image.model.engine_files import weights_sha256
from lambda_image.model.protocols import Engine


class CalibratedEngine:
    """Predicts as another engine does, and tells p(z) of each galaxy."""

    def __init__(self, engine: Engine, calibration: RedshiftCalibration) -> None:
        self.name, self.device, self.parameters_mb = engine.name, engine.device, engine.parameters_mb
        self.sizes = engine.sizes
        self.engine, self.calibration = engine, calibration

    def predict(self, images: ArrayLike, magnitudes: ArrayLike) -> NDArray[np.float32]:
        """Predicts redshifts, as `Engine.predict` says."""
        return self.engine.predict(images, magnitudes)

    def predict_with_errors(
        self, images: ArrayLike, magnitudes: ArrayLike
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Predicts redshifts and their error bars, as `UncertainEngine` says."""
        redshifts = self.predict(images, magnitudes)
        return redshifts, self.describe(redshifts, magnitudes).redshift_err

    def describe(self, redshifts: ArrayLike, magnitudes: ArrayLike) -> PhotoZ:
        """Tells p(z) of galaxies by what was predicted, as `RedshiftCalibration.describe` does."""
        count = len(np.asarray(redshifts))
        given = magnitudes if self.calibration.magnitudes else np.empty((count, 0), np.float32)
        return self.calibration.describe(redshifts, given)


def calibrated(engine: Engine, weights: Path, on_mismatch: Callable[[str], None] = lambda reason: None) -> Engine:
    """Gives an engine its error bars, if there are any for its weights.

    Args:
        engine: predicts.
        weights: the file that it was loaded from, which may be absent where a compiled engine has been made of it.
        on_mismatch: is called with the reason where the calibration beside the weights is for others.

    Returns:
        A `CalibratedEngine`, or the engine itself.

    Raises:
        CheckpointError: the calibration cannot be used.
    """
    path = calibration_path(weights)
    if not path.exists():
        return engine
    calibration = RedshiftCalibration.read(path)
    if calibration.weights_sha256 != weights_sha256(weights):
        on_mismatch(f"no error bars: {path} was made for other weights. `cosmicai calibrate` makes some for these")
        return engine
    if calibration.magnitudes != engine.sizes.magnitudes:
        raise CheckpointError(
            f"calibration {path} is for {calibration.magnitudes} magnitudes, and the model takes "
            f"{engine.sizes.magnitudes}: make it again with `cosmicai calibrate`",
            path=str(path),
        )
    return CalibratedEngine(engine, calibration)


def carry_calibration(given: Path | bytes, digest: str, weights: Path) -> bool:
    """Puts the calibration of a checkpoint beside what it was converted to.

    One that is for other weights stays so, and whoever loads these hears of it.

    Args:
        given: the calibration's file, or its content.
        digest: SHA-256 of the checkpoint before it was converted.
        weights: what the checkpoint has become.

    Returns:
        Whether it is for these weights.

    Raises:
        CheckpointError: the calibration cannot be used.
    """
    place = calibration_path(weights)
    if isinstance(given, bytes):
        place.write_bytes(given)
        given = place
    calibration = RedshiftCalibration.read(given)
    if calibration.weights_sha256 == digest:
        calibration = replace(calibration, weights_sha256=weights_sha256(weights))
    calibration.write(place)
    return calibration.weights_sha256 == weights_sha256(weights)
