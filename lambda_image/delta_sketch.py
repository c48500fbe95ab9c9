"""How often δ = Δz / (1+z) has which value, in bins that are the same everywhere, so that counts of ranks add up.

The width of a bin grows with |δ|: where y = |δ| + 2^-10 lies between two powers of two, there are 2^14 bins between
them. No bin is therefore wider than 2^-14 y. The centre of a bin stands for what lies in it, which is off by no more
than 2^-15 y. A median of values is then off by as much at most, and so is the median of their distances from it:

    |MAD of bins − MAD|  ≤  2^-14 (|median δ| + MAD + 2^-10)

NMAD is 1.4826 MAD. It is within 0.1 % of what all values give wherever |median δ| + 2^-10 is at most ten times NMAD.
"""

import base64
import binascii
import zlib

import numpy as np
from numpy.typing import NDArray

BITS = 14  # of y that tell bins of one power of two apart
OFFSET = 2.0**-10
POWERS = 30  # of two, from OFFSET to LARGEST
LARGEST = OFFSET * 2**POWERS  # about a million: whatever is beyond has the outermost bin
HALF = POWERS << BITS  # bins of one sign
LATEST, LATEST_PARTS = 1 << 20, 1 << 12  # values and pieces whose bins are kept as they are
COUNTED = "#"  # which base 64 has not
_SHIFT = 52 - BITS  # of float64's bits, whose order is that of the numbers
_FIRST = int(np.float64(OFFSET).view(np.int64)) >> _SHIFT
_ENTRY = np.dtype("<u4")


class DeltaSketch:
    """Counts values by bins.

    The bins of the values that came last are kept as they are, until there are so many that counts of all bins take
    less memory.
    """

    def __init__(self) -> None:
        self._latest: list[NDArray[np.int32]] = []
        self._counts: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        """How many values it has counted."""
        counted = 0 if self._counts is None else int(self._counts.sum())
        return counted + sum(map(len, self._latest))

    def add(self, values: NDArray[np.float64]) -> None:
        """Counts finite values [N]."""
        places = (np.abs(values) + OFFSET).view(np.int64) >> _SHIFT
        places = np.minimum(places - _FIRST, HALF - 1)
        self._take(np.where(values < 0, HALF - 1 - places, HALF + places).astype(np.int32))

    def merge(self, other: "DeltaSketch") -> None:
        """Adds what another sketch has counted."""
        for bins in other._latest:
            self._take(bins)
        if other._counts is not None:
            self._settled()[:] += other._counts

    def _take(self, bins: NDArray[np.int32]) -> None:
        self._latest.append(bins)
        if sum(map(len, self._latest)) > LATEST or len(self._latest) > LATEST_PARTS:
            self._settled()

    def _settled(self) -> NDArray[np.int64]:
        """The counts of all bins."""
        if self._counts is None:
            self._counts = np.zeros(2 * HALF, np.int64)
        for bins in self._latest:
            np.add.at(self._counts, bins, 1)
        self._latest = []
        return self._counts

    def _bins(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The bins that hold values, in ascending order, and how many each holds."""
        if self._counts is None:
            bins, counts = np.unique(np.concatenate([np.empty(0, np.int32), *self._latest]), return_counts=True)
            return bins.astype(np.int64), counts
        counts = self._settled()
        used = np.flatnonzero(counts)
        return used, counts[used]

    def mad(self) -> float | None:
        """Computes the median distance from the median, as the head of this file says how closely.

        Returns:
            The distance, or None where there are no values, or too large ones.
        """
        used, counts = self._bins()
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
        """Gives the counts as ASCII, by bins in order, each as its distance from the one before.

        Up to LATEST values each has its bin. Of more values each bin that holds any is there once, behind COUNTED, and
        then how many it holds. All numbers have 32 bits, and their lowest bytes come first. They are packed by zlib and
        in base 64.
        """
        used, counts = self._bins()
        if counts.sum() > LATEST:
            return COUNTED + _packed(np.ediff1d(used, to_begin=used[:1]), counts)
        bins = np.repeat(used, counts)
        return _packed(np.ediff1d(bins, to_begin=bins[:1]))

    @classmethod
    def from_text(cls, text: str, values: int) -> "DeltaSketch":
        """Reads what `to_text` gave.

        Args:
            text: what it gave.
            values: how many values that sketch had counted.

        Raises:
            ValueError: the text is anything else.
        """
        if not isinstance(text, str):
            raise ValueError("not a sketch: it is no text")
        counted = text.startswith(COUNTED)
        found = _unpacked(text.removeprefix(COUNTED), 4 * HALF if counted else values)
        half = len(found) // 2 if counted else len(found)
        bins, sketch = np.cumsum(found[:half]), cls()
        if len(bins) and bins[-1] >= 2 * HALF:
            raise ValueError("not a sketch: it has bins that there are not")
        if counted and len(found) == 2 * half:
            np.add.at(sketch._settled(), bins, found[half:])
        elif not counted:
            sketch._take(bins.astype(np.int32))
        if len(sketch) != values:
            raise ValueError(f"not a sketch of {values:,} values")
        return sketch


def _packed(*numbers: NDArray[np.int64]) -> str:
    planes = np.concatenate(numbers).astype(_ENTRY).view(np.uint8).reshape(-1, _ENTRY.itemsize).T
    return base64.b64encode(zlib.compress(np.ascontiguousarray(planes).tobytes())).decode("ascii")


def _unpacked(text: str, most: int) -> NDArray[np.int64]:
    """Reads what `_packed` gave. Raises ValueError where there are more than so many numbers, or none were packed."""
    try:
        unpacker = zlib.decompressobj()
        planes = unpacker.decompress(base64.b64decode(text, validate=True), most * _ENTRY.itemsize + 1)
    except (binascii.Error, zlib.error) as error:
        raise ValueError(f"not a sketch: {error}") from error
    if len(planes) > most * _ENTRY.itemsize or len(planes) % _ENTRY.itemsize or not unpacker.eof:
        raise ValueError("not a sketch: it has other numbers")
    columns = np.frombuffer(planes, np.uint8).reshape(_ENTRY.itemsize, -1).T
    return np.ascontiguousarray(columns).view(_ENTRY).reshape(-1).astype(np.int64)


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
