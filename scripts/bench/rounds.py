"""Rounds that may fail, and what those of two contenders say together. This module does no I/O and has no clock."""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from math import ceil
from statistics import median

from scripts.bench.errors import BenchmarkError
from scripts.series import Round

CONFIDENCE = 0.95  # of an interval
RESAMPLES = 2000  # they settle the ends of an interval to about a hundredth of its width

OTHER_WORK = "other_work_cores"  # the figure that says how many cores worked on other things meanwhile


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate, and the ends of its confidence interval."""

    middle: float
    low: float
    high: float


@dataclass
class Attempts:
    """Rounds that may fail.

    What fails is noted and left out, and the rest goes on. Minutes of measuring are not lost for one thing that stops.
    """

    failures: list[str] = field(default_factory=list)
    _failed: set[str] = field(default_factory=set)

    def attempt(self, what: str, measure: Callable[[], Round]) -> Round:
        """Return the figures that `measure` finds of `what`, or none where that fails or has failed before.

        Once is enough, as something that has stalled takes its time about it.
        """
        if what in self._failed:
            return {}
        try:
            return measure()
        except BenchmarkError as error:
            self._failed.add(what)
            self.failures.append(f"{what}: {error}")
            return {}


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that at least `percent` of all values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, ceil(percent / 100 * len(ordered)) - 1)]


def ratios(ours: Sequence[Round], theirs: Sequence[Round], names: Iterable[str]) -> list[Round]:
    """Return ours over theirs, round by round, of the figures in `names` that both have.

    Neighbours in time had the same machine.
    """
    pairs = zip(ours, theirs, strict=False)  # one side may have failed in its last rounds
    return [{name: a[name] / b[name] for name in names if name in a and b.get(name)} for a, b in pairs]


def ratio_of_medians(ours: Sequence[Round], theirs: Sequence[Round], name: str) -> Interval:
    """Return the median of ours over the median of theirs, with its interval.

    The interval is that of the percentile bootstrap (Efron and Tibshirani 1993, chapter 13). Pairs are drawn and not
    single rounds, as neighbours in time had the same machine. The draws are seeded, so that a report can be made anew.
    """
    pairs = [(a[name], b[name]) for a, b in zip(ours, theirs, strict=True)]
    rng = random.Random(0)
    drawn = [_ratio(rng.choices(pairs, k=len(pairs))) for _ in range(RESAMPLES)]
    tail = 50 * (1 - CONFIDENCE)  # percent at either end
    return Interval(_ratio(pairs), percentile(drawn, tail), percentile(drawn, 100 - tail))


def _ratio(pairs: Sequence[tuple[float, float]]) -> float:
    return median(a for a, _ in pairs) / median(b for _, b in pairs)
