"""How right the redshift distributions of galaxies are, in a form whose parts add up over ranks."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lambda_image.bin_counts import BinCounts
from lambda_image.data.distributions import INTERVALS, cde_loss, covered, pit
from lambda_image.data.quality import known_redshifts

PIT_BINS = 10_000  # the distance from uniform is read at their edges, and is too small by the width of one at most
SHOWN_BINS = 20  # of the histogram in a summary
LARGEST, LARGEST_SUM = 2**63, 1e300  # of a count and of the sum; those of 10,000 ranks still add up to a number


@dataclass
class DistributionParts:
    """Counts galaxies by where their true redshifts lie in their distributions.

    Attributes:
        galaxies: Galaxies with quantiles.
        with_truth: Those of them whose true redshift is known. All below counts these.
        inside: How many true redshifts lie within the interval of each measure of coverage.
        cde_loss: The sum of what each adds to the loss.
        pit: How many have a PIT in each of `PIT_BINS` equal bins.
    """

    galaxies: int = 0
    with_truth: int = 0
    inside: dict[str, int] = field(default_factory=lambda: dict.fromkeys(INTERVALS, 0))
    cde_loss: float = 0.0
    pit: BinCounts = field(default_factory=lambda: BinCounts(PIT_BINS))

    def add(self, quantiles: NDArray[np.float32], true: NDArray[np.float32]) -> None:
        """Counts galaxies.

        Args:
            quantiles: float32 [N, 11], NaN where a galaxy has none.
            true: redshifts [N], NaN where unknown.
        """
        there = np.isfinite(quantiles).all(axis=1)
        kept = there & known_redshifts(true)
        self.galaxies += int(np.count_nonzero(there))
        self.with_truth += int(np.count_nonzero(kept))
        q, z = quantiles[kept], true[kept]
        for name, within in covered(q, z).items():
            self.inside[name] += int(np.count_nonzero(within))
        self.cde_loss += float(cde_loss(q, z).sum())
        self.pit.add(np.minimum(pit(q, z) * PIT_BINS, PIT_BINS - 1).astype(np.int32))

    def merge(self, other: "DistributionParts") -> None:
        """Adds the galaxies of another rank."""
        self.galaxies += other.galaxies
        self.with_truth += other.with_truth
        self.inside = {name: count + other.inside[name] for name, count in self.inside.items()}
        self.cde_loss += other.cde_loss
        self.pit.merge(other.pit)

    def measures(self) -> dict[str, Any]:
        """Computes what a summary says.

        Returns:
            `galaxies` and `with_truth`; coverages, `pit_ks` (the largest distance of PIT from uniform), `cde_loss` and
            `pit` (counts in `SHOWN_BINS` bins), all of them null where no truth is known.
        """
        count = self.with_truth
        found = {"galaxies": self.galaxies, "with_truth": count}
        if not count:
            return {**found, **dict.fromkeys((*INTERVALS, "pit_ks", "cde_loss", "pit"))}
        bins, counts = self.pit.used()
        histogram = np.bincount(bins, counts, PIT_BINS).astype(np.int64)
        edges = np.arange(1, PIT_BINS + 1) / PIT_BINS
        return {
            **found,
            **{name: inside / count for name, inside in self.inside.items()},
            "pit_ks": float(np.abs(np.cumsum(histogram) / count - edges).max()),
            "cde_loss": self.cde_loss / count,
            "pit": histogram.reshape(SHOWN_BINS, -1).sum(axis=1).tolist(),
        }

    def to_json(self) -> dict[str, Any]:
        """Gives the parts as a record has them."""
        return {**vars(self), "inside": dict(self.inside), "pit": self.pit.to_text()}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "DistributionParts":
        """Reads what `to_json` gave.

        Raises:
            ValueError: it is anything else.
        """
        try:
            inside = {name: content["inside"][name] for name in INTERVALS}
            galaxies, with_truth, loss = (content[name] for name in ("galaxies", "with_truth", "cde_loss"))
            if any(type(count) is not int or count < 0 for count in (galaxies, with_truth, *inside.values())):
                raise TypeError("counts")
            if not max(inside.values()) <= with_truth <= galaxies < LARGEST:
                raise ValueError("its counts contradict one another")
            if type(loss) not in (int, float) or not math.isfinite(loss) or abs(loss) > LARGEST_SUM:
                raise TypeError("cde_loss")
            values = BinCounts.from_text(content["pit"], PIT_BINS, with_truth)
            return cls(**{**content, "inside": inside, "cde_loss": float(loss), "pit": values})
        except (TypeError, ValueError, LookupError, OverflowError) as error:
            raise ValueError(f"not what a record says of redshift distributions: {error}") from error
