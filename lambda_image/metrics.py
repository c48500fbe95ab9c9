"""How good redshifts are, by the measures of the field."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Accuracy:
    """`samples` is how many galaxies had a true redshift; the other fields are None where they are undefined."""

    samples: int
    mae: float | None
    mse: float | None
    bias: float | None
    nmad: float | None
    r2: float | None


def accuracy(predicted: ArrayLike, true: ArrayLike) -> Accuracy:
    """Of redshifts [N] each; rows whose true redshift is NaN count for nothing.

    MAE, MSE and bias are means of the error Δ = predicted − true. NMAD = 1.4826 median |δ − median δ| with
    δ = Δ / (1 + true) (Ilbert et al. 2009, A&A 457, 841; robust against outliers). R² = 1 − Σ Δ² / Σ (true − mean)².
    """
    z, z_true = np.asarray(predicted, np.float64), np.asarray(true, np.float64)
    known = ~np.isnan(z_true)
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
