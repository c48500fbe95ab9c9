"""How often δ = Δz / (1+z) has which value, in bins that are the same everywhere, so that counts of ranks add up.

The width of a bin grows with |δ|: where y = |δ| + 2^-10 lies between two powers of two, there are 2^14 bins between
them. No bin is therefore wider than 2^-14 y. The centre of a bin stands for what lies in it, which is off by no more
than 2^-15 y. A median of values is then off by as much at most, and so is the median of their distances from it:

    |MAD of bins − MAD|  ≤  2^-14 (|median δ| + MAD + 2^-10)

NMAD is 1.4826 MAD. It is within 0.1 % of what all values give wherever |median δ| + 2^-10 is at most ten times NMAD.
"""

import numpy as np
from numpy.typing import NDArray

from lambda_image.bin_counts import BinCounts

BITS = 14  # of y that tell bins of one power of two apart
OFFSET = 2.0**-10
POWERS = 30  # of two, from OFFSET to LARGEST
LARGEST = OFFSET * 2**POWERS  # about a million: whatever is beyond has the outermost bin
HALF = POWERS << BITS  # bins of one sign
_SHIFT = 52 - BITS  # of float64's bits, whose order is that of the numbers
_FIRST = int(np.float64(OFFSET).view(np.int64)) >> _SHIFT


class DeltaSketch:
    """Counts values by bins."""

    def __init__(self, counts: BinCounts | None = None) -> None:
        self._counts = BinCounts(2 * HALF) if counts is None else counts

    def __len__(self) -> int:
        """How many values it has counted."""
        return len(self._counts)

    def add(self, values: NDArray[np.float64]) -> None:
        """Counts finite values [N]."""
        places = (np.abs(values) + OFFSET).view(np.int64) >> _SHIFT
        places = np.minimum(places - _FIRST, HALF - 1)
        self._counts.add(np.where(values < 0, HALF - 1 - places, HALF + places).astype(np.int32))

    def merge(self, other: "DeltaSketch") -> None:
        """Adds what another sketch has counted."""
        self._counts.merge(other._counts)

    def mad(self) -> float | None:
        """Computes the median distance from the median, as the head of this file says how closely.

        Returns:
            The distance, or None where there are no values, or too large ones.
        """
        used, counts = self._counts.used()
        if not len(used):
            return None
        centres = _centres(used)
        middle = _median(centres, counts)
        distances = np.abs(centres - middle)
        order = np.argsort(distances, kind="stable")
        found = _median(distances[order], counts[order])
        # Half of what the outermost bin stands for: the mean of two middle distances may hold one that is there.
        return found if abs(middle) + found < _centres(np.array([2 * HALF - 1]))[0] / 2 else None

    def to_text(self) -> str:
        """Gives the counts as `BinCounts.to_text` does."""
        return self._counts.to_text()

    @classmethod
    def from_text(cls, text: str, values: int) -> "DeltaSketch":
        """Reads what `to_text` gave.

        Args:
            text: what it gave.
            values: how many values that sketch had counted.

        Raises:
            ValueError: the text is anything else.
        """
        return cls(BinCounts.from_text(text, 2 * HALF, values))


def _centres(bins: NDArray[np.int64]) -> NDArray[np.float64]:
    """The values in the middle of bins [N]."""
    places = np.where(bins < HALF, HALF - 1 - bins, bins - HALF) + _FIRST
    edges = [(places + step << _SHIFT).view(np.float64) for step in (0, 1)]
    centres = (edges[0] + edges[1]) / 2 - OFFSET
    return np.where(bins < HALF, -centres, centres)


def _median(values: NDArray[np.float64], counts: NDArray[np.int64]) -> float:
    """Of values [N] in ascending order, each as often as it was counted; of two in the middle, their mean."""
    ends = np.cumsum(counts)
    middle = [int(ends[-1] - 1) // 2, int(ends[-1]) // 2]
    return float(values[np.searchsorted(ends, middle, side="right")].mean())
