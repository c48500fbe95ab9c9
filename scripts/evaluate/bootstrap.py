"""Intervals of measures by drawing galaxies anew (Efron 1979, The Annals of Statistics 7, 1). No I/O."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEVELS = (2.5, 97.5)  # percent: the interval holds 95
GALAXIES_DRAWN = 20_000_000  # at most in all resamples of one measurement, which takes some seconds
LEAST_RESAMPLES = 100  # which give an interval to a tenth of its width

Measures = Mapping[str, float | int | None]


@dataclass(frozen=True)
class MeasuredInterval:
    """A measure of some galaxies, and where 95 % of its values lie when as many galaxies are drawn from these anew.

    All three are None where the measure is undefined; the bounds alone where it is so in a draw.
    """

    value: float | None
    low: float | None = None
    high: float | None = None

    def to_json(self) -> dict[str, float | None]:
        """Gives the three by name."""
        return {"value": self.value, "low": self.low, "high": self.high}


def intervals(
    measure: Callable[[NDArray[np.int64]], Measures], count: int, resamples: int, rng: np.random.Generator
) -> dict[str, MeasuredInterval]:
    """Measures some galaxies, and draws galaxies from them to see how far chance reaches.

    Args:
        measure: gives the measures of the galaxies whose places [N] it is given.
        count: how many galaxies there are.
        resamples: how often as many are drawn with replacement. Fewer are drawn where there are very many galaxies.
        rng: draws.

    Returns:
        By the measure's name, its value for all galaxies and the percentile interval of its values in the draws.
    """
    found = measure(np.arange(count))
    drawn: dict[str, list[float | None]] = {name: [] for name in found}
    if count:
        times = min(resamples, max(LEAST_RESAMPLES, GALAXIES_DRAWN // count))
        for _ in range(times):
            for name, value in measure(rng.integers(count, size=count)).items():
                drawn[name].append(value)
    return {name: _interval(value, drawn[name]) for name, value in found.items()}


def _interval(value: float | None, drawn: list[float | None]) -> MeasuredInterval:
    numbers = [number for number in drawn if number is not None]
    if value is None or not numbers or len(numbers) < len(drawn):
        return MeasuredInterval(value)
    low, high = np.percentile(numbers, LEVELS)
    return MeasuredInterval(value, float(low), float(high))
