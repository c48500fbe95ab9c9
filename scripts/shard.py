"""One of several equal shares of a dataset, for `srun` and array jobs in which every process infers its own."""

import re
from dataclasses import dataclass
from pathlib import Path

from lambda_image.data.partition import count_rows
from lambda_image.dealing import deal
from lambda_image.errors import UsageError


@dataclass(frozen=True)
class Shard:
    """One of `count` shares, whose numbers begin with 0."""

    number: int = 0
    count: int = 1

    @property
    def whole(self) -> bool:
        """Whether it is the only share."""
        return self.count == 1

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


@dataclass(frozen=True)
class Stretch:
    """Rows of one file, from `start` up to `stop`."""

    file: Path
    start: int
    stop: int


def parse_shard(text: str) -> Shard:
    """Read the flag `--shard I/N`.

    Raises:
        UsageError: It is not of this form, or I is not from 0 to N - 1.
    """
    match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    if not match or int(match[1]) >= int(match[2]):
        raise UsageError(f"--shard is {text!r}; allowed: I/N with I from 0 to N-1, such as 0/4")
    return Shard(int(match[1]), int(match[2]))


def stretches(files: list[Path], shard: Shard) -> list[Stretch]:
    """Return what the share consists of, in the order of the dataset.

    Shares differ by one row at most, whatever the sizes of the files are. Files without rows are left out.

    Raises:
        PartitionMissing: There is no file at one of the paths.
        PartitionMalformed: The headers of a file cannot be read.
    """
    counts = [count_rows(file) if file.stat().st_size else 0 for file in files]
    mine = deal(range(sum(counts)), shard.count)[shard.number]
    first, last = (mine[0], mine[-1] + 1) if mine else (0, 0)
    found, begin = [], 0
    for file, count in zip(files, counts, strict=True):
        start, stop = max(first - begin, 0), min(last - begin, count)
        if start < stop:
            found.append(Stretch(file, start, stop))
        begin += count
    return found
