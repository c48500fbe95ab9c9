"""Counts what became of the rows of a rank, and of all ranks together: nothing is lost and nothing is invented."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lambda_image.data.quality import UNPREDICTABLE, Quality, count_by_flag, describe


@dataclass
class RowTally:
    """Counts rows by what became of them: `given` = `predicted` + `flagged` + `skipped`.

    Attributes:
        given: Rows that were read.
        predicted: Rows with a prediction.
        flagged: Rows that are in the table without a prediction.
        skipped: Rows that were left out of the table.
        flags: Rows by the flags that they carry, skipped ones included; a row may carry several.
        first: By flag, source and row of the first that carries it.
    """

    given: int = 0
    predicted: int = 0
    flagged: int = 0
    skipped: int = 0
    flags: dict[str, int] = field(default_factory=dict)
    first: dict[str, tuple[str, int]] = field(default_factory=dict)

    def add(self, source: str, rows: NDArray[Any], flags: NDArray[Any], *, skip: bool) -> None:
        """Count the rows of a partition.

        Args:
            source: the partition's key.
            rows: int64 [N], their numbers in the original.
            flags: int32 [N].
            skip: whether rows without a prediction are left out of the table.
        """
        without = int(np.count_nonzero(flags & UNPREDICTABLE))
        self.given += len(flags)
        self.predicted += len(flags) - without
        self.skipped += without if skip else 0
        self.flagged += 0 if skip else without
        for name, count in count_by_flag(flags).items():
            self.flags[name] = self.flags.get(name, 0) + count
            if count and name not in self.first:
                self.first[name] = (source, int(rows[np.flatnonzero(flags & Quality[name.upper()])[0]]))

    def merge(self, other: "RowTally") -> None:
        """Add the rows of another rank, which come behind these.

        Args:
            other: its tally.
        """
        for name in ("given", "predicted", "flagged", "skipped"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name, count in other.flags.items():
            self.flags[name] = self.flags.get(name, 0) + count
        self.first = {**other.first, **self.first}

    def warnings(self) -> list[str]:
        """Say what is wrong with rows, in a line for each flag that some carry.

        Unknown true redshifts are worth a line only where others are known.

        Returns:
            Sentences that name the first row of each kind.
        """
        told = []
        for flag in Quality:
            name = str(flag.name).lower()
            count = self.flags.get(name, 0)
            if not count or (flag is Quality.REDSHIFT_UNKNOWN and count == self.given):
                continue
            source, row = self.first[name]
            effect = ", which have no prediction" if flag & UNPREDICTABLE else ""
            line = f"{name} in {count:,} of {self.given:,} galaxies{effect}: {describe(flag)}"
            told.append(f"{line}. The first is row {row} of {source}")
        return told

    def since(self, earlier: "RowTally") -> "RowTally":
        """Count what has been added since.

        Args:
            earlier: this tally as it was. Places of flags that it had already are not repeated.

        Returns:
            What `earlier` must be merged with to get this tally.
        """
        flags = {name: count - earlier.flags.get(name, 0) for name, count in self.flags.items()}
        return RowTally(
            self.given - earlier.given,
            self.predicted - earlier.predicted,
            self.flagged - earlier.flagged,
            self.skipped - earlier.skipped,
            {name: count for name, count in flags.items() if count},
            {name: place for name, place in self.first.items() if name not in earlier.first},
        )

    def to_json(self) -> dict[str, Any]:
        """Give the counts as a record has them.

        Returns:
            JSON, in which `in` is the number of rows given.
        """
        return {
            "in": self.given,
            "predicted": self.predicted,
            "flagged": self.flagged,
            "skipped": self.skipped,
            "flags": self.flags,
            "first": {name: list(place) for name, place in self.first.items()},
        }

    @classmethod
    def from_json(cls, counts: Mapping[str, Any]) -> "RowTally":
        """Read what `to_json` gave.

        Args:
            counts: the JSON.

        Returns:
            The tally.
        """
        return cls(
            counts["in"],
            counts["predicted"],
            counts["flagged"],
            counts["skipped"],
            dict(counts["flags"]),
            {name: (source, row) for name, (source, row) in counts["first"].items()},
        )
