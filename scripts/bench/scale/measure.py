"""Carries a plan out. What fails is noted and left out, and the rest goes on.

A part is a function that measures one size once, and PART_ROUNDS names them all.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from scripts.bench.rounds import Attempts
from scripts.bench.scale.init_part import init_round
from scripts.bench.scale.plan import ScalePlan
from scripts.bench.scale.rank_part import rank_round
from scripts.bench.scale.run_part import run_round
from scripts.bench.scale.summarize_part import summarize_round
from scripts.series import Round, Series
from scripts.step_progress import StepProgress

PartRound = Callable[[ScalePlan, int, float], Round]  # of a number of objects, galaxies or ranks, within seconds
PART_ROUNDS: Mapping[str, PartRound] = {
    "init": init_round,
    "rank": rank_round,
    "summarize": summarize_round,
    "run": run_round,
}


@dataclass
class ScaleResults:
    """What was measured: by part, a series for each size."""

    parts: dict[str, list[Series]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return what the report holds beside the machine."""
        parts = {name: [one.to_json() for one in series] for name, series in self.parts.items()}
        return {**parts, "failures": self.failures}


def measure(
    plan: ScalePlan,
    parts: Sequence[str],
    progress: StepProgress,
    part_rounds: Mapping[str, PartRound] = PART_ROUNDS,
) -> ScaleResults:
    """Measure one part after the other, and its sizes in turn within each round.

    Args:
        plan: Which sizes, and how often.
        parts: Which of `part_rounds`.
        progress: Is begun here.
        part_rounds: What measures each part.
    """
    progress.begin(sum(plan.rounds_of(part) * len(plan.labels(part)) for part in parts))
    results = ScaleResults()
    attempts = Attempts(results.failures)
    for part in parts:
        results.parts[part] = [Series(labels) for labels in plan.labels(part)]
        for number in range(plan.rounds_of(part)):
            for series in results.parts[part]:
                what, size = next(iter(series.labels.items()))
                progress.step(f"{part}, {size:,} {what}, round {number + 1}")
                once = partial(part_rounds[part], plan, size, plan.limit_s)
                if figures := attempts.attempt(f"{part}, {size:,} {what}", once):
                    series.rounds.append(figures)
    return results
