"""Measures both commits in turn, so that whatever else the machine does hits them alike."""

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from lambda_image import process
from scripts.bench.commit.checkout import run_in
from scripts.bench.commit.plan import CommitPlan
from scripts.bench.commit.rank_start import rank_start_s
from scripts.bench.commit.whole_run import run_demo
from scripts.bench.rounds import Interval, ratio_of_medians
from scripts.series import Series
from scripts.step_progress import StepProgress

BASE, THIS = "base", "this"
RANK_START = "rank_start_s"


@dataclass
class CommitResults:
    """What was measured of both commits, a round for each pair."""

    base: Series = field(default_factory=lambda: Series({"commit": BASE}))
    this: Series = field(default_factory=lambda: Series({"commit": THIS}))
    failures: ClassVar[Sequence[str]] = ()  # a commit that fails ends the benchmark

    def ratios(self) -> dict[str, Interval]:
        """Return this commit's figures over the base's. More than 1 is slower or larger."""
        return {name: ratio_of_medians(self.this.rounds, self.base.rounds, name) for name in self.base.figures()}

    def to_json(self) -> dict[str, Any]:
        """Return what the report holds beside the machine."""
        return {
            "commits": [self.base.to_json(), self.this.to_json()],
            "ratios": {name: asdict(interval) for name, interval in self.ratios().items()},
        }


def measure(plan: CommitPlan, base: Path, this: Path, world_size: int, progress: StepProgress) -> CommitResults:
    """Measure both commits.

    Args:
        plan: How often.
        base: The checkout of the earlier commit.
        this: The checkout that is compared with it.
        world_size: The number of ranks of a run.
        progress: Is begun here.

    Raises:
        BenchmarkError: A commit failed.
    """
    results, cpus = CommitResults(), process.usable_cpus()
    sides = [(base, results.base), (this, results.this)]
    with tempfile.TemporaryDirectory(prefix="cosmicai-") as scratch:
        data = None
        if plan.galaxies is not None:
            data = Path(scratch) / "galaxies.safetensors"
            run_in(this, "sample", str(data), "--count", str(plan.galaxies))
        progress.begin(2 * plan.pairs + 2)
        for folder, series in sides:
            progress.step(f"{series.labels['commit']}, once to compile what Python imports")
            run_demo(folder, data, world_size)
        for pair in range(plan.pairs):
            for folder, series in sides if pair % 2 == 0 else reversed(sides):
                progress.step(f"pair {pair + 1}, {series.labels['commit']}")
                started = {RANK_START: rank_start_s(folder, cpus)}
                series.rounds.append(started | run_demo(folder, data, world_size))
    return results
