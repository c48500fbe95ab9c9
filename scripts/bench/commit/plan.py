"""How much is measured."""

from dataclasses import dataclass


@dataclass(frozen=True)
class CommitPlan:
    """How often both commits are measured. The order within a pair changes from pair to pair."""

    pairs: int = 30
    galaxies: int | None = None  # of the run; without a number it is that of `make demo`, with its sample galaxies


QUICK = CommitPlan(3, galaxies=256)
