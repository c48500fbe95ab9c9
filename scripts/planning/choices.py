"""Which partition size and memory are cheapest, and which are fastest. No I/O."""

from collections.abc import Iterable, Sequence
from math import ceil

from lambda_image.cost import BillingTerms
from lambda_image.events import MAX_WORLD_SIZE
from scripts.planning.calibration import Calibration
from scripts.planning.prediction import MIB, Case, Forecast, forecast


def rows_of_partition(measured: Calibration, size_mb: float) -> int:
    """How many galaxies a partition of this size has."""
    return max(1, int(size_mb * MIB / measured.galaxy_bytes))


def choices(
    measured: Calibration,
    galaxies: int,
    sizes_mb: Iterable[float],
    memories_mb: Iterable[float],
    world_sizes: Sequence[int],
    quota: int,
    terms: BillingTerms,
) -> list[Forecast]:
    """Predicts all combinations, each once.

    Args:
        measured: the constants.
        galaxies: how many there are.
        sizes_mb: partition sizes, in 2^20 bytes.
        memories_mb: memory of a rank.
        world_sizes: numbers of ranks; without any, a rank for each partition.
        quota: functions that the account runs at a time.
        terms: what is billed by.
    """
    memories = list(memories_mb)
    cases = dict.fromkeys(
        Case(galaxies, partitions, min(world, partitions, MAX_WORLD_SIZE), memory, quota=quota)
        for size in sizes_mb
        for partitions in [ceil(galaxies / rows_of_partition(measured, size))]
        for world in (world_sizes or [partitions])
        for memory in memories
    )
    return [forecast(measured, case, terms) for case in cases]


def pareto(forecasts: Iterable[Forecast]) -> list[Forecast]:
    """Keeps what nothing else beats in both time and cost, from the fastest to the cheapest."""
    front: list[Forecast] = []
    for one in sorted((one for one in forecasts if one.possible), key=lambda one: (one.total_s, one.usd)):
        if not front or one.usd < front[-1].usd:
            front.append(one)
    return front


def partition_mb(measured: Calibration, case: Case) -> float:
    """The size of a partition, in 2^20 bytes."""
    return case.galaxies / case.partitions * measured.galaxy_bytes / MIB
