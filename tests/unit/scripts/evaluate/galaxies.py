"""Galaxies and engines whose accuracy is known beforehand."""

import numpy as np

from lambda_image.data.predictions import Predictions
from lambda_image.data.sizes import PUBLISHED


def predictions(count: int = 400, *, spread: float = 0.01, errors: bool = False, seed: int = 0) -> Predictions:
    """Galaxies whose predictions are off by a normal distribution of the given spread."""
    rng = np.random.default_rng(seed)
    true = rng.uniform(0.02, 0.3, count)
    magnitudes = 17 + rng.standard_normal((count, 5))
    return Predictions.of_partition(
        "galaxies",
        0,
        magnitudes,
        true + spread * rng.standard_normal(count),
        true,
        redshift_err=np.full(count, spread) if errors else None,
    )


class Blind:
    """Predicts by the magnitudes alone."""

    name, device, parameters_mb, sizes = "blind", "cpu", 0.0, PUBLISHED

    def predict(self, images, magnitudes):
        return (magnitudes[:, 2] / 100).astype(np.float32)


class Seeing:
    """Predicts by the first pixel alone."""

    name, device, parameters_mb, sizes = "seeing", "cpu", 0.0, PUBLISHED

    def predict(self, images, magnitudes):
        return np.clip(images[:, 0, 0, 0], 0, 1).astype(np.float32)
