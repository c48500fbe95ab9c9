"""The measures of galaxies in bins, each with its interval. No I/O."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lambda_image.data.distributions import cde_loss, pit, uniform_distance
from lambda_image.data.distributions import covered as covered_by
from lambda_image.data.predictions import Predictions
from lambda_image.data.quality import known_redshifts
from lambda_image.metrics import MEASURES, OUTLIERS, accuracy
from scripts.evaluate.bootstrap import MeasuredInterval, Measures, intervals
from scripts.evaluate.groups import Bin, bins

NAMES = (*(key for _, key, _ in MEASURES), *(key for key, _ in OUTLIERS))
SIGMAS = {
    "coverage_68": 1.0,
    "coverage_95": 1.959964,
}  # half widths that hold 68.27 % and 95 % of a normal distribution


@dataclass(frozen=True)
class MeasuredBin:
    """The measures of the galaxies in a bin."""

    bin: Bin
    measures: dict[str, MeasuredInterval]

    def to_json(self) -> dict[str, Any]:
        """Gives the bin as the report has it."""
        one = self.bin
        measures = {name: interval.to_json() for name, interval in self.measures.items()}
        return {"group": one.group, "from": one.low, "to": one.high, "galaxies": len(one.rows), "measures": measures}


def judged(predictions: Predictions) -> Predictions:
    """Chooses the galaxies that can be measured: those with a prediction and a known true redshift."""
    return predictions.where(known_redshifts(predictions.redshift_true) & np.isfinite(predictions.redshift))


def measure_bins(
    galaxies: Predictions,
    count: int,
    resamples: int,
    rng: np.random.Generator,
    quantiles: NDArray[np.float32] | None = None,
) -> Iterator[MeasuredBin]:
    """Measures all galaxies and those of each bin.

    Args:
        galaxies: what `judged` gives.
        count: bins of each group.
        resamples: draws of an interval.
        rng: draws.
        quantiles: of p(z), float32 [N, 11], where the model has a calibration.
    """
    pits = None if quantiles is None else pit(quantiles, galaxies.redshift_true)
    predicted, true = galaxies.redshift.astype(np.float64), galaxies.redshift_true.astype(np.float64)
    covered = coverage(galaxies) if quantiles is None else distributed(galaxies, quantiles)
    for one in bins(galaxies, count):

        def measure(places: NDArray[np.int64], rows: NDArray[np.int64] = one.rows) -> Measures:
            chosen = rows[places]
            found = accuracy(predicted[chosen], true[chosen]).to_json()
            shares = {name: float(within[chosen].mean()) if len(chosen) else None for name, within in covered.items()}
            far = {} if pits is None or not len(chosen) else {"pit_ks": uniform_distance(pits[chosen])}
            return {**{name: found[name] for name in NAMES}, **shares, **far}

        yield MeasuredBin(one, intervals(measure, len(one.rows), resamples, rng))


def distributed(galaxies: Predictions, quantiles: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
    """Holds distributions against the true redshifts.

    Args:
        galaxies: what `judged` gives.
        quantiles: float32 [N, 11].

    Returns:
        By the measure's name, what each galaxy adds to its mean [N].
    """
    true, found = galaxies.redshift_true, coverage(galaxies)
    bars = {"within_err": found["coverage_68"]} if found else {}
    return {**covered_by(quantiles, true), **bars, "cde_loss": cde_loss(quantiles, true)}


def coverage(galaxies: Predictions) -> dict[str, NDArray[np.bool_]]:
    """Tells which true redshifts lie within the error bars.

    Args:
        galaxies: what `judged` gives.

    Returns:
        By the measure's name, bool [N]. Nothing where the model gives no errors.
    """
    if galaxies.redshift_err is None:
        return {}
    off = np.abs(galaxies.redshift.astype(np.float64) - galaxies.redshift_true)
    return {name: off <= times * galaxies.redshift_err for name, times in SIGMAS.items()}
