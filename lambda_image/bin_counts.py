"""How many values each bin of a histogram holds, in a form that adds up over ranks and is short as text."""

import base64
import binascii
import zlib

import numpy as np
from numpy.typing import NDArray

LATEST_PARTS = 1 << 12  # pieces that are kept as they are
COUNTED = "#"  # which base 64 has not
_ENTRY = np.dtype("<u4")


class BinCounts:
    """Counts values by bins.

    The bins of the values that came last are kept as they are, until they are as many as there are bins. Counts of all
    bins take hardly more memory then.

    Args:
        bins: how many there are.
    """

    def __init__(self, bins: int) -> None:
        self._bins = bins
        self._latest: list[NDArray[np.int32]] = []
        self._waiting = 0  # values of all of these
        self._counts: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        """How many values it has counted."""
        counted = 0 if self._counts is None else int(self._counts.sum())
        return counted + self._waiting

    def add(self, bins: NDArray[np.int32]) -> None:
        """Counts values by their bins [N], of which each is from 0 to below `bins`."""
        self._latest.append(bins)
        self._waiting += len(bins)
        if self._waiting > self._bins or len(self._latest) > LATEST_PARTS:
            self._settled()

    def merge(self, other: "BinCounts") -> None:
        """Adds what another one of as many bins has counted."""
        for bins in other._latest:
            self.add(bins)
        if other._counts is not None:
            self._settled()[:] += other._counts

    def _settled(self) -> NDArray[np.int64]:
        """The counts of all bins."""
        if self._counts is None:
            self._counts = np.zeros(self._bins, np.int64)
        for bins in self._latest:
            np.add.at(self._counts, bins, 1)
        self._latest, self._waiting = [], 0
        return self._counts

    def used(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Gives the bins that hold values, in ascending order, and how many each holds."""
        if self._counts is None:
            bins, counts = np.unique(np.concatenate([np.empty(0, np.int32), *self._latest]), return_counts=True)
            return bins.astype(np.int64), counts
        counts = self._settled()
        used = np.flatnonzero(counts)
        return used, counts[used]

    def to_text(self) -> str:
        """Gives the counts as ASCII, by bins in order, each as its distance from the one before.

        Up to as many values as there are bins, each has its bin. Of more values each bin that holds any is there once,
        behind COUNTED, and then how many it holds. All numbers have 32 bits, and their lowest bytes come first. They
        are packed by zlib and in base 64.
        """
        used, counts = self.used()
        if counts.sum() > self._bins:
            return COUNTED + _packed(np.ediff1d(used, to_begin=used[:1]), counts)
        bins = np.repeat(used, counts)
        return _packed(np.ediff1d(bins, to_begin=bins[:1]))

    @classmethod
    def from_text(cls, text: str, bins: int, values: int) -> "BinCounts":
        """Reads what `to_text` gave.

        Args:
            text: what it gave.
            bins: how many there are.
            values: how many had been counted.

        Raises:
            ValueError: the text is anything else.
        """
        if not isinstance(text, str):
            raise ValueError("not counts of bins: they are no text")
        counted = text.startswith(COUNTED)
        numbers = _unpacked(text.removeprefix(COUNTED), 2 * bins if counted else min(values, bins))
        half = len(numbers) // 2 if counted else len(numbers)
        places, found = np.cumsum(numbers[:half]), cls(bins)
        if len(places) and places[-1] >= bins:
            raise ValueError("not counts of bins: they have bins that there are not")
        if counted and len(numbers) == 2 * half:
            np.add.at(found._settled(), places, numbers[half:])
        elif not counted:
            found.add(places.astype(np.int32))
        if len(found) != values:
            raise ValueError(f"not counts of bins that hold {values:,} values")
        return found


def _packed(*numbers: NDArray[np.int64]) -> str:
    planes = np.concatenate(numbers).astype(_ENTRY).view(np.uint8).reshape(-1, _ENTRY.itemsize).T
    return base64.b64encode(zlib.compress(np.ascontiguousarray(planes).tobytes())).decode("ascii")


def _unpacked(text: str, most: int) -> NDArray[np.int64]:
    """Reads what `_packed` gave. Raises ValueError where there are more than so many numbers, or none were packed."""
    try:
        unpacker = zlib.decompressobj()
        planes = unpacker.decompress(base64.b64decode(text, validate=True), most * _ENTRY.itemsize + 1)
    except (binascii.Error, zlib.error) as error:
        raise ValueError(f"not counts of bins: {error}") from error
    if len(planes) > most * _ENTRY.itemsize or len(planes) % _ENTRY.itemsize or not unpacker.eof:
        raise ValueError("not counts of bins: there are other numbers")
    columns = np.frombuffer(planes, np.uint8).reshape(_ENTRY.itemsize, -1).T
    return np.ascontiguousarray(columns).view(_ENTRY).reshape(-1).astype(np.int64)
