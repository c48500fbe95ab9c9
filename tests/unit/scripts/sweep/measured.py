"""Runs of sweeps as they are kept."""

from scripts.sweep.configuration import Configuration
from scripts.sweep.folder import FAILED, NOT_RUN, SUCCEEDED, Measured
from tests.unit.scripts.report.facts import run_facts


def measured(world_size: int, batch_size: int = 32, repeat: int = 1, wall_s: float = 8.0, **changes: float) -> Measured:
    """A run that succeeded."""
    facts = run_facts(2)
    summary = {
        **facts.summary,
        "wall_s": wall_s,
        "samples_per_s": 40 / wall_s,
        "cost_usd": 0.001 * world_size,
        **changes,
    }
    return Measured(
        Configuration(world_size, batch_size, 40, repeat=repeat), SUCCEEDED, None, summary, tuple(facts.records)
    )


def sweep() -> list[Measured]:
    """1, 2 and 4 ranks twice, a run that failed, and one that could not be made."""
    runs = [measured(ranks, repeat=repeat, wall_s=8.0 / ranks + repeat) for repeat in (1, 2) for ranks in (1, 2, 4)]
    failed = Measured(Configuration(8, 32, 40), FAILED, "RanksFailed: rank 1: it was lost")
    return [*runs, failed, Measured(Configuration(500, 32, 40), NOT_RUN, "one machine runs at most 128 ranks")]
