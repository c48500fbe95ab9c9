"""Counts ids that no catalogue can be joined by, so that a user learns it before the run."""

import numpy as np

from scripts.importing.contents import Array


class IdTally:
    """Counts repeated and empty values of the column of ids, piece by piece.

    All of them are in memory until the end. They take little beside an image of 20 KB.

    Attributes:
        label: The column's name in partitions.
    """

    def __init__(self, label: str) -> None:
        self.label, self._pieces = label, list[Array]()

    def add(self, ids: Array) -> None:
        """Takes the ids of further galaxies, as partitions have them."""
        self._pieces.append(ids)

    def lines(self) -> list[str]:
        """Says what is wrong with them, a line each."""
        ids = np.concatenate(self._pieces)
        if ids.dtype.kind == "S":
            ids = np.char.strip(ids)
        known = ids[_is_known(ids)]
        values, counts = np.unique(known, return_counts=True)
        told, total = [], f"{len(ids):,}"
        if repeated := len(known) - len(values):
            first = values[counts > 1][0]
            example = first.decode() if isinstance(first, bytes) else str(first)
            told.append(
                f"{repeated:,} of {total} galaxies: {self.label} is that of an earlier galaxy, as {example} is, so "
                "that cosmicai results --catalogue needs --repeats first"
            )
        if ids.dtype.kind == "S" and (empty := len(ids) - len(known)):
            told.append(f"{empty:,} of {total} galaxies: {self.label} is empty, so that no catalogue has them")
        return told


def _is_known(ids: Array) -> Array:
    """Which ids are there: neither empty nor NaN, nor what an import writes for a missing integer."""
    missing: object = b""
    if ids.dtype.kind == "i" or (ids.dtype.kind == "u" and ids.dtype.itemsize > 2):  # as a join has it
        info = np.iinfo(ids.dtype)
        missing = info.min if ids.dtype.kind == "i" else info.max
    known: Array = (ids == ids) & (ids != missing)  # NaN is not what it is
    return known
