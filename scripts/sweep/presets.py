"""The matrices of the published documents, and a quick one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from scripts.sweep.configuration import DATA_SIZES, Configuration, grid, rows_of

BATCH = 512  # of the experiments about data
GB_IN_MB = 1000
FILE_LIMITS = (10, 40, 80, 120)


@dataclass(frozen=True)
class Preset:
    """Runs that belong together.

    Attributes:
        meaning: What they show, in a few words.
        configurations: The runs.
        repeats: How often each is made.
        of_gigabytes: Makes the runs for other amounts of data than the documents', given in GB, where that has a
            meaning.
        beside_local: Whether one process of this machine infers the same galaxies, too, in batches of each size.
    """

    meaning: str
    configurations: Sequence[Configuration]
    repeats: int = 1
    of_gigabytes: Callable[[Sequence[float]], Sequence[Configuration]] | None = None
    beside_local: bool = False


def _comparison() -> list[Configuration]:
    """The 17 rows of the comparison; the first nine are those of ten scenarios that have a result there."""
    scenarios = [(1, 16), (1, 32), (1, 64), (2, 32), (2, 64), (2, 128), (4, 64), (8, 64), (8, 128)]
    sizes = ["small"] * 4 + ["medium", "large", "medium", "large", "large"]
    first = [
        Configuration(world, batch, DATA_SIZES[size]) for (world, batch), size in zip(scenarios, sizes, strict=True)
    ]
    return first + grid([1], [2**power for power in range(8)], [DATA_SIZES["large"]])


def _by_partition(partition_mb: float, gigabytes: Sequence[float]) -> list[Configuration]:
    """A rank for each file, as the published experiments had."""
    each = rows_of(partition_mb)
    counts = [max(1, round(size * GB_IN_MB / partition_mb)) for size in gigabytes]
    return [Configuration(count, BATCH, count * each, partition_mb, copies=count) for count in dict.fromkeys(counts)]


def _partitions(gigabytes: Sequence[float]) -> list[Configuration]:
    return [one for size in (10, 25, 50, 75, 100) for one in _by_partition(size, gigabytes)]


def _file_limits(gigabytes: Sequence[float]) -> list[Configuration]:
    """The first files of many, a rank for each."""
    sizes = [total * GB_IN_MB / max(FILE_LIMITS) for total in gigabytes]
    return [
        Configuration(limit, BATCH, max(FILE_LIMITS) * rows_of(size), size, copies=max(FILE_LIMITS), file_limit=limit)
        for size in sizes
        for limit in FILE_LIMITS
    ]


PRESETS: Mapping[str, Preset] = {
    "quick": Preset("a first look: 1 and 2 ranks, two batch sizes", grid([1, 2], [32, 256], [1000])),
    "states": Preset(
        "world sizes 2, 10 and 24: how long the states of the state machine take", grid([2, 10, 24], [BATCH], [1000])
    ),
    "worlds": Preset("world sizes 1 to 4 x batch sizes 8 to 128", grid([1, 2, 3, 4], [8, 16, 32, 64, 128], [250])),
    "scenarios": Preset("the scenarios of the comparison that have a result", _comparison()[:9], beside_local=True),
    "comparison": Preset("the 17 rows of the comparison", _comparison(), beside_local=True),
    "batches": Preset(
        "batch sizes 1 to 1,024 on one rank: accuracy, memory and cost",
        grid([1], [2**power for power in range(11)], [DATA_SIZES["large"]]),
    ),
    "partitions": Preset(
        "files of 10 to 100 MB x 1 to 12.6 GB, a rank for each",
        _partitions((1, 2, 4, 6, 8, 10, 12.6)),
        repeats=3,
        of_gigabytes=_partitions,
    ),
    "file-limits": Preset(
        "10, 40, 80 and 120 files of 25 MB",
        _file_limits([3]),
        of_gigabytes=_file_limits,
    ),
    "memory": Preset(
        "a function of 128 to 10,240 MB",
        grid(
            [1], [BATCH], [DATA_SIZES["large"]], memory_mb=[128, 256, 512, 1024, 2048, 3072, 4096, 6144, 8192, 10_240]
        ),
    ),
}
