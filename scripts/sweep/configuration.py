"""What one run of a sweep is: ranks, batches, data, and which repeat it is. No I/O."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import product
from typing import Any

ROWS_PER_MB = 1253 / 25  # the published partitions of 25 MB hold 1,253 galaxies
DATA_SIZES = {"small": 250, "medium": 626, "large": 1253}  # galaxies of the documents' datasets


@dataclass(frozen=True)
class Configuration:
    """Says how a run is made.

    Attributes:
        world_size: Ranks.
        batch_size: Galaxies that a rank infers at a time.
        rows: Galaxies in all.
        partition_mb: Size of each file; one file, which is dealt by rows, where it is None.
        copies: Under how many names each file that was made is uploaded, where data are to be many and not different.
        file_limit: How many of the files are used; all of them where it is None.
        memory_mb: Memory of the functions; what they have where it is None.
        repeat: 1 for the first run of its kind.
    """

    world_size: int
    batch_size: int
    rows: int
    partition_mb: float | None = None
    copies: int = 1
    file_limit: int | None = None
    memory_mb: int | None = None
    repeat: int = 1

    @property
    def partitions(self) -> int:
        """Files that the galaxies lie in."""
        return 1 if self.partition_mb is None else max(1, round(self.rows / rows_of(self.partition_mb)))

    @property
    def data(self) -> str:
        """Names the data, so that runs on the same ones share them."""
        cut = "" if self.partition_mb is None else f"-{self.partition_mb:g}mb"
        return f"{self.rows}{cut}" + (f"-x{self.copies}" if self.copies > 1 else "")

    @property
    def key(self) -> str:
        """Names the run; no other configuration has this name."""
        limit = "" if self.file_limit is None else f"-files{self.file_limit}"
        memory = "" if self.memory_mb is None else f"-memory{self.memory_mb}"
        return f"world{self.world_size}-batch{self.batch_size}-data{self.data}{limit}{memory}-{self.repeat}"

    def __str__(self) -> str:
        """Describes the run for people."""
        where = "" if self.partition_mb is None else f" in {self.partitions:,} files of {self.partition_mb:g} MB"
        more = "" if self.file_limit is None else f", {self.file_limit} files"
        more += "" if self.memory_mb is None else f", {self.memory_mb:,} MB"
        return f"{self.world_size} x {self.batch_size}, {self.rows:,} galaxies{where}{more}, repeat {self.repeat}"

    def to_json(self) -> dict[str, Any]:
        """Gives the fields by name."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Configuration":
        """Reads what `to_json` gives.

        Raises:
            TypeError: It is anything else.
        """
        return cls(**{field.name: content[field.name] for field in fields(cls) if field.name in content})


def rows_of(partition_mb: float) -> int:
    """Computes how many galaxies a file of a size holds, as the published ones do.

    Args:
        partition_mb: Its size in MB.
    """
    return max(1, math.floor(partition_mb * ROWS_PER_MB))


def grid(
    world_sizes: Sequence[int],
    batch_sizes: Sequence[int],
    rows: Sequence[int],
    *,
    partition_mb: Sequence[float | None] = (None,),
    file_limits: Sequence[int | None] = (None,),
    memory_mb: Sequence[int | None] = (None,),
    copies: int = 1,
) -> list[Configuration]:
    """Makes every combination, each once. Arguments are the values of the fields of `Configuration`."""
    return [
        Configuration(world, batch, count, size, copies, limit, memory)
        for size, count, memory, limit, world, batch in product(
            partition_mb, rows, memory_mb, file_limits, world_sizes, batch_sizes
        )
    ]


def repeated(configurations: Iterable[Configuration], repeats: int) -> list[Configuration]:
    """Makes a plan of so many rounds, so that what disturbs the machine for a while disturbs no configuration alone.

    Args:
        configurations: What is measured.
        repeats: How often.

    Returns:
        The runs in their order. A configuration that was named twice is there once.
    """
    once = list(dict.fromkeys(configurations))
    return [Configuration(**{**one.to_json(), "repeat": number}) for number in range(1, repeats + 1) for one in once]
