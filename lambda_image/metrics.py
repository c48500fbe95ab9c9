"""Measures how good predicted redshifts are, in the numbers that the field uses."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Accuracy:
    """Tells how good predicted redshifts are. All but `samples` are None where they are undefined.

    Δ is predicted − true redshift, and δ is Δ / (1 + true).

    Attributes:
        samples: Galaxies whose true redshift is known and that have a prediction.
        mae: Mean of |Δ|.
        mse: Mean of Δ².
        bias: Mean of Δ.
        nmad: Normalised median absolute deviation, 1.4826 median |δ − median δ|.
        r2: Coefficient of determination, 1 − Σ Δ² / Σ (true − mean true)².
    """

    samples: int
    mae: float | None
    mse: float | None
    bias: float | None
    nmad: float | None
    r2: float | None


def accuracy(predicted: ArrayLike, true: ArrayLike | None) -> Accuracy:
    """Compares predicted with true redshifts.

    NMAD is that of Ilbert et al. 2009 (A&A 457, 841), which outliers hardly change.

    Args:
        predicted: Redshifts [N], NaN where a galaxy has none.
        true: Redshifts [N], NaN where a galaxy's is unknown, or None where all are.

    Returns:
        The measures over all galaxies that have both.

    Raises:
        ValueError: The two do not have the same shape [N].
    """
    z = np.asarray(predicted, np.float64)
    z_true = np.full(z.shape, np.nan) if true is None else np.asarray(true, np.float64)
    if z.ndim != 1 or z.shape != z_true.shape:
        shapes = f"predicted redshifts have the shape {list(z.shape)} and true redshifts {list(z_true.shape)}"
        raise ValueError(f"{shapes}; [N] is needed of both")
    known = np.isfinite(z_true) & np.isfinite(z)
    z, z_true = z[known], z_true[known]
    if not len(z):
        return Accuracy(0, None, None, None, None, None)
    error = z - z_true
    relative = error / (1 + z_true)
    spread = np.square(z_true - z_true.mean()).sum()
    return Accuracy(
        samples=len(z),
        mae=float(np.abs(error).mean()),
        mse=float(np.square(error).mean()),
        bias=float(error.mean()),
        nmad=float(1.4826 * np.median(np.abs(relative - np.median(relative)))),
        r2=float(1 - np.square(error).sum() / spread) if spread > 0 else None,
    )
