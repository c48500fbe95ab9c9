"""Rounds of a measurement, and what they say together: the middle one, and how far they lie apart. No I/O, no clock."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import ceil
from statistics import median
from typing import Any

Round = dict[str, float]  # figures of one round by name, the unit in the name


@dataclass(frozen=True, slots=True)
class Spread:
    median: float
    low: float
    high: float


@dataclass
class Series:
    """The same thing measured several times. `labels` say which thing."""

    labels: Mapping[str, Any]
    rounds: list[Round] = field(default_factory=list)

    def figures(self) -> dict[str, Spread]:
        """Of every figure that all rounds have."""
        if not self.rounds:
            return {}
        names = [name for name in self.rounds[0] if all(name in figures for figures in self.rounds)]
        return {name: spread([figures[name] for figures in self.rounds]) for name in names}

    def to_json(self) -> dict[str, Any]:
        figures = {name: asdict(figure) for name, figure in self.figures().items()}
        return {**self.labels, "figures": figures, "rounds": self.rounds}


def spread(values: Sequence[float]) -> Spread:
    return Spread(median(values), min(values), max(values))


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least `percent` of all values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, ceil(percent / 100 * len(ordered)) - 1)]


def ratios(ours: Sequence[Round], theirs: Sequence[Round], names: Iterable[str]) -> list[Round]:
    """Ours over theirs, round by round: neighbours in time had the same machine. Of the figures that both have."""
    pairs = zip(ours, theirs, strict=False)  # one side may have failed in its last rounds
    return [{name: a[name] / b[name] for name in names if name in a and b.get(name)} for a, b in pairs]


def bars(figures: Sequence[Mapping[str, float]]) -> tuple[list[float], tuple[list[float], list[float]]]:
    """The medians, and how far the lowest and the highest rounds are from them."""
    below = [figure["median"] - figure["low"] for figure in figures]
    above = [figure["high"] - figure["median"] for figure in figures]
    return [figure["median"] for figure in figures], (below, above)
