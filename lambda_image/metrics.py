"""Measures how good predicted redshifts are, in the numbers that the field uses."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lambda_image.data.quality import known_redshifts

MEASURES = (  # what they are called, by their keys in summary.json, with their formats
    ("R²", "r2", ".4f"),
    ("MAE", "mae", ".4f"),
    ("MSE", "mse", ".6f"),
    ("bias of Δz", "mean_error", "+.4f"),
    ("bias of Δz/(1+z)", "bias", "+.4f"),
    ("NMAD", "nmad", ".4f"),
    ("σ of Δz/(1+z)", "sigma", ".4f"),  # noqa: RUF001
)
OUTLIERS = (("outliers_005", "0.05"), ("outliers_015", "0.15"))
LARGE = 1e6  # numbers beyond would fill the line with digits
NMAD_FACTOR = 1.4826  # makes the median absolute deviation of a normal distribution its standard deviation


@dataclass(frozen=True)
class Accuracy:
    """Tells how good predicted redshifts are.

    Δ is predicted − true redshift, and δ is Δ / (1 + true), as in Ilbert et al. 2009 (A&A 457, 841). A measure is None
    where it is undefined or too large for a number. `samples`, `without_truth` and `without_prediction` add up to all
    galaxies.

    Attributes:
        samples: Galaxies that the measures count: the true redshift is known and the prediction finite.
        mae: Mean of |Δ|.
        mse: Mean of Δ².
        mean_error: Mean of Δ.
        bias: Mean of δ, as in Pasquet et al. 2019 (A&A 621, A26) and in the published system.
        nmad: Normalised median absolute deviation, 1.4826 median |δ − median δ|, by Hoaglin, Mosteller and Tukey 1983.
            Outliers hardly change it. The published system calls it precision and multiplies by 1.48.
        sigma: Standard deviation of δ, which outliers dominate, as in Dahlen et al. 2013 (ApJ 775, 93).
        outliers_005: Fraction of galaxies with |δ| > 0.05, as Pasquet et al. 2019 count them for nearby galaxies.
        outliers_015: Fraction of galaxies with |δ| > 0.15, as Ilbert et al. 2009 count them for deep surveys.
        r2: Coefficient of determination, 1 − Σ Δ² / Σ (true − mean true)², by Wright 1921.
        without_truth: Galaxies left out because the true redshift is unknown or a placeholder such as −1 or −9999.
        without_prediction: Further galaxies left out because the prediction is missing or not finite.
    """

    samples: int
    mae: float | None
    mse: float | None
    mean_error: float | None
    bias: float | None
    nmad: float | None
    sigma: float | None
    outliers_005: float | None
    outliers_015: float | None
    r2: float | None
    without_truth: int = 0
    without_prediction: int = 0

    def __str__(self) -> str:
        """Shows the measures one on a line, by the names and in the formats that the table of a run has."""
        rows = [("galaxies", f"{self.samples:,}"), *accuracy_rows(self.to_json())]
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)

    def to_json(self) -> dict[str, float | int | None]:
        """Gives the measures as a summary has them.

        Returns:
            The measures by name, None for one that is undefined. `samples` is called `samples_with_truth`.
        """
        measures = asdict(self)
        measures["samples_with_truth"] = measures.pop("samples")
        return measures


def accuracy(predicted: ArrayLike, true: ArrayLike | None) -> Accuracy:
    """Compares predicted with true redshifts.

    Args:
        predicted: Redshifts [N], NaN where a galaxy has no prediction.
        true: Redshifts [N], or None where all are unknown. `data.quality` says which values stand for unknown ones.

    Returns:
        The measures over all galaxies that have both, and how many were left out.

    Raises:
        ValueError: The two do not have the same shape [N].
    """
    z = np.asarray(predicted, np.float64)
    z_true = np.full(z.shape, np.nan) if true is None else np.asarray(true, np.float64)
    if z.ndim != 1 or z.shape != z_true.shape:
        shapes = f"predicted redshifts have the shape {list(z.shape)} and true redshifts {list(z_true.shape)}"
        raise ValueError(f"{shapes}; [N] is needed of both")
    known, finite = known_redshifts(z_true), np.isfinite(z)
    left_out = {
        "without_truth": int(np.count_nonzero(~known)),
        "without_prediction": int(np.count_nonzero(known & ~finite)),
    }
    z, z_true = z[known & finite], z_true[known & finite]
    if not len(z):
        return Accuracy(0, None, None, None, None, None, None, None, None, None, **left_out)
    with np.errstate(all="ignore"):  # a measure that overflows becomes None
        error = z - z_true
        delta = error / (1 + z_true)
        spread = np.square(z_true - z_true.mean()).sum()
        return Accuracy(
            samples=len(z),
            mae=_number(np.abs(error).mean()),
            mse=_number(np.square(error).mean()),
            mean_error=_number(error.mean()),
            bias=_number(delta.mean()),
            nmad=_number(NMAD_FACTOR * np.median(np.abs(delta - np.median(delta)))),
            sigma=_number(delta.std()),
            outliers_005=_number((np.abs(delta) > 0.05).mean()),
            outliers_015=_number((np.abs(delta) > 0.15).mean()),
            r2=_number(1 - np.square(error).sum() / spread) if spread > 0 else None,
            **left_out,
        )


def _number(value: np.floating) -> float | None:
    return float(value) if math.isfinite(value) else None


def accuracy_rows(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Makes the rows of a table about accuracy.

    Args:
        summary: What `Accuracy.to_json` gives, alone or among the content of `summary.json`.

    Returns:
        The names of the measures and their values, in words.
    """
    left_out = {
        "without a true redshift": summary["without_truth"],
        "without a prediction": summary["without_prediction"],
    }
    if not summary["samples_with_truth"]:
        why = "no predictions beside them" if summary["without_prediction"] else "no true redshifts"
        return [("accuracy", f"unknown ({why})")]
    rows = [(name, _measure(summary[key], form)) for name, key, form in MEASURES]
    fractions = [f"{_measure(summary[key], '.2%')} beyond {limit}" for key, limit in OUTLIERS]
    rows.append(("outliers", ", ".join(fractions)))
    if any(left_out.values()):
        rows.append(("not in the accuracy", ", ".join(f"{count:,} {why}" for why, count in left_out.items() if count)))
    return rows


def _measure(value: float | None, form: str) -> str:
    if value is None:
        return "undefined"
    return format(value, form if abs(value) < LARGE else ".4g")
