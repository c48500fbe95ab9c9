"""The accuracy of some predictions in a form whose parts add up: that of a run comes from its ranks' records.

Counts and exact sums (exact_sum.py) give every measure but NMAD as if all predictions had been seen at once, whatever
the order of the parts. NMAD comes from a sketch (delta_sketch.py), which says how closely.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lambda_image.data.quality import known_redshifts
from lambda_image.delta_sketch import DeltaSketch
from lambda_image.exact_sum import ExactSum
from lambda_image.metrics import NMAD_FACTOR, OUTLIERS, Accuracy

COUNTS = ("samples", "without_truth", "without_prediction", *(name for name, _ in OUTLIERS))
# Of Δ, of δ = Δ / (1 + true), and of the true redshift.
SUMS = ("error", "absolute_error", "squared_error", "delta", "squared_delta", "true", "squared_true")
SPLITTER = 2.0**27 + 1  # Dekker 1971 (Numerische Mathematik 18, 224)


@dataclass
class AccuracyParts:
    """Holds what the accuracy of any number of galaxies is computed from."""

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTS, 0))
    sums: dict[str, ExactSum] = field(default_factory=lambda: {name: ExactSum() for name in SUMS})
    sketch: DeltaSketch = field(default_factory=DeltaSketch)

    def add(self, predicted: ArrayLike, true: ArrayLike) -> None:
        """Counts galaxies in.

        Args:
            predicted: float32 [N], NaN where a galaxy has no prediction.
            true: float32 [N], NaN or a placeholder where it is unknown.
        """
        z, z_true = np.asarray(predicted, np.float64), np.asarray(true, np.float64)
        known, finite = known_redshifts(z_true), np.isfinite(z)
        z, z_true = z[known & finite], z_true[known & finite]
        error = z - z_true
        delta = error / (1 + z_true)
        found = {
            "samples": len(z),
            "without_truth": int(np.count_nonzero(~known)),
            "without_prediction": int(np.count_nonzero(known & ~finite)),
            **{name: int(np.count_nonzero(np.abs(delta) > float(limit))) for name, limit in OUTLIERS},
        }
        for name, count in found.items():
            self.counts[name] += count
        if not len(z):
            return
        self.sums["error"].add(error)
        self.sums["absolute_error"].add(np.abs(error))
        self.sums["squared_error"].add(np.square(error))
        self.sums["delta"].add(delta)
        for part in _square(delta):  # exactly, so that equal values have no spread
            self.sums["squared_delta"].add(part)
        self.sums["true"].add(z_true)
        self.sums["squared_true"].add(np.square(z_true))  # exact, as float32 has 24 bits and float64 has 53
        self.sketch.add(delta)

    def merge(self, other: "AccuracyParts") -> None:
        """Adds the galaxies of another one."""
        for name in COUNTS:
            self.counts[name] += other.counts[name]
        for name in SUMS:
            self.sums[name].merge(other.sums[name])
        self.sketch.merge(other.sketch)

    def accuracy(self) -> Accuracy:
        """Computes the measures.

        Returns:
            What `metrics.accuracy` gives for the same galaxies, but for NMAD; see delta_sketch.
        """
        count = self.counts["samples"]
        left_out = {name: self.counts[name] for name in ("without_truth", "without_prediction")}
        if not count:
            return Accuracy(0, None, None, None, None, None, None, None, None, None, **left_out)
        means = {name: total.value / count for name, total in self.sums.items()}
        variance = means["squared_delta"] - means["delta"] ** 2
        spread = means["squared_true"] - means["true"] ** 2
        mad = self.sketch.mad()
        return Accuracy(
            samples=count,
            mae=_number(means["absolute_error"]),
            mse=_number(means["squared_error"]),
            mean_error=_number(means["error"]),
            bias=_number(means["delta"]),
            nmad=None if mad is None else NMAD_FACTOR * mad,
            sigma=_number(variance, lambda value: value**0.5),
            outliers_005=self.counts["outliers_005"] / count,
            outliers_015=self.counts["outliers_015"] / count,
            r2=_number(1 - means["squared_error"] / spread) if spread else None,
            **left_out,
        )

    def to_json(self) -> dict[str, Any]:
        """Gives the parts as a record has them."""
        sums = {name: total.to_text() for name, total in self.sums.items()}
        return {**self.counts, "sums": sums, "sketch": self.sketch.to_text()}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "AccuracyParts":
        """Reads what `to_json` gives.

        Raises:
            ValueError: the content is anything else.
        """
        try:
            counts = {name: int(content[name]) for name in COUNTS}
            if min(counts.values()) < 0:
                raise ValueError("a count is negative")
            sums = {name: ExactSum.from_text(content["sums"][name]) for name in SUMS}
            return cls(counts, sums, DeltaSketch.from_text(content["sketch"], counts["samples"]))
        except (LookupError, TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"not the parts of an accuracy: {error}") from error


def _square(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Arrays whose sum is the square of the values, without rounding."""
    scaled = values * SPLITTER
    high = scaled - (scaled - values)
    low = values - high
    return high * high, 2 * high * low, low * low


def _number(value: Fraction, of: Callable[[float], float] = float) -> float | None:
    try:
        return of(float(value))
    except OverflowError:
        return None
