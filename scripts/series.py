"""Something that is measured several times, and what the rounds say together. No I/O and no clock."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

Round = dict[str, float]  # figures of one round by name, the unit in the name


@dataclass(frozen=True, slots=True)
class Spread:
    """One figure of several rounds."""

    median: float
    low: float
    high: float


@dataclass
class Series:
    """The same thing measured several times. `labels` say which thing."""

    labels: Mapping[str, Any]
    rounds: list[Round] = field(default_factory=list)

    def figures(self) -> dict[str, Spread]:
        """Return the spread of every figure that all rounds have."""
        if not self.rounds:
            return {}
        names = [name for name in self.rounds[0] if all(name in figures for figures in self.rounds)]
        return {name: spread([figures[name] for figures in self.rounds]) for name in names}

    def to_json(self) -> dict[str, Any]:
        """Return the labels, the spreads and every round."""
        figures = {name: asdict(figure) for name, figure in self.figures().items()}
        return {**self.labels, "figures": figures, "rounds": self.rounds}


def spread(values: Sequence[float]) -> Spread:
    """Return the median, the lowest and the highest of some values."""
    return Spread(median(values), min(values), max(values))
