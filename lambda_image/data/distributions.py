"""Redshift distributions p(z) as quantiles, and what true redshifts say of them. Arrays only, no I/O.

Between two quantiles the distribution function is that of a normal distribution, which a straight line of normal scores
over redshift gives, and beyond the outermost ones the line goes on. For the loss the density is the line through the
slopes in the middle of each piece, as in qp (qp-prob 1.1, `piecewise_linear`), so that its users find the same loss.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

# The outermost ones keep the ends of PIT right: with five quantiles 3 % of it would be misplaced there.
LEVELS = (0.001, 0.01, 0.025, 0.16, 0.25, 0.5, 0.75, 0.84, 0.975, 0.99, 0.999)
NAMES = tuple(f"q{level:g}" for level in LEVELS)  # columns of the table of quantiles
IN_CATALOGUES = ("q0.025", "q0.16", "q0.5", "q0.84", "q0.975")  # the median and the bounds of 68 and 95 %
MEDIAN = LEVELS.index(0.5)
INTERVALS = {"coverage_68": (0.16, 0.84), "coverage_95": (0.025, 0.975)}  # by the names of their measures

# The normal scores of the levels: so many standard deviations a normal distribution has below them.
_UPPER = np.array([0.6744897502, 0.9944578832, 1.9599639845, 2.3263478740, 3.0902323062])
SCORES = np.concatenate((-_UPPER[::-1], [0.0], _UPPER))

Quantiles = NDArray[np.float32]  # [N, len(LEVELS)], NaN where a galaxy has no prediction
Values = NDArray[np.float64]


def padded(quantiles: NDArray[Any]) -> tuple[Values, Values]:
    """Adds the two ends of the distributions.

    Args:
        quantiles: [N, 11], in ascending order.

    Returns:
        Levels [13] from 0 to 1, and the redshifts [N, 13] that belong to them.
    """
    q, levels = np.asarray(quantiles, np.float64), np.array((0.0, *LEVELS, 1.0))
    first = q[:, 0] - levels[1] * (q[:, 1] - q[:, 0]) / (levels[2] - levels[1])
    last = q[:, -1] + (1 - levels[-2]) * (q[:, -1] - q[:, -2]) / (levels[-2] - levels[-3])
    return levels, np.column_stack((first, q, last))


def pit(quantiles: NDArray[Any], true: NDArray[Any]) -> Values:
    """Computes the probability integral transform, the value of each distribution function at the true redshift.

    It is uniform between 0 and 1 where distributions are right (Dawid 1984, J. R. Statist. Soc. A 147, 278).

    Args:
        quantiles: [N, 11], strictly ascending.
        true: redshifts [N].

    Returns:
        float64 [N].
    """
    z, x = np.asarray(quantiles, np.float64), np.asarray(true, np.float64)
    rows = np.arange(len(z))
    place = np.clip((z <= x[:, None]).sum(axis=1) - 1, 0, z.shape[1] - 2)
    low, high = z[rows, place], z[rows, place + 1]
    return normal_distribution(SCORES[place] + (x - low) / (high - low) * (SCORES[place + 1] - SCORES[place]))


def normal_distribution(scores: Values) -> Values:
    """Computes the share of a normal distribution below scores, to 1.5e-7.

    Args:
        scores: [N], in standard deviations.

    Returns:
        float64 [N], by formula 7.1.26 of Abramowitz and Stegun 1964, as numpy has no error function.
    """
    x = np.abs(scores) / np.sqrt(2)
    t = 1 / (1 + 0.3275911 * x)
    series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    upper = series * np.exp(-x * x) / 2  # the share beyond |score|
    share: Values = np.where(scores > 0, 1 - upper, upper)
    return share


def cde_loss(quantiles: NDArray[Any], true: NDArray[Any]) -> Values:
    """Computes what each galaxy adds to the loss of conditional densities, the mean of ∫ p(z)² dz − 2 p(true).

    It is that of Izbicki and Lee 2017 (Electronic Journal of Statistics 11, 2800). Lower is better.

    Args:
        quantiles: [N, 11], strictly ascending.
        true: redshifts [N].

    Returns:
        float64 [N].
    """
    levels, z = padded(quantiles)
    x = np.asarray(true, np.float64)
    slopes, middles = np.diff(levels) / np.diff(z), (z[:, 1:] + z[:, :-1]) / 2  # [N, 12]
    a, b = slopes[:, :-1], slopes[:, 1:]
    squared = (np.diff(middles) * (a * a + a * b + b * b) / 3).sum(axis=1)
    rows = np.arange(len(z))
    place = np.clip((middles <= x[:, None]).sum(axis=1) - 1, 0, middles.shape[1] - 2)
    low, high = middles[rows, place], middles[rows, place + 1]
    share = (x - low) / (high - low)
    density = slopes[rows, place] * (1 - share) + slopes[rows, place + 1] * share
    loss: Values = np.where((share >= 0) & (share <= 1), squared - 2 * density, squared)
    return loss


def covered(quantiles: NDArray[Any], true: NDArray[Any]) -> dict[str, NDArray[np.bool_]]:
    """Tells which true redshifts lie between the quantiles that enclose 68 % and 95 %.

    Args:
        quantiles: [N, 11].
        true: redshifts [N].

    Returns:
        By the measure's name, bool [N].
    """
    bounds = {name: [quantiles[:, LEVELS.index(level)] for level in pair] for name, pair in INTERVALS.items()}
    return {name: (true >= low) & (true <= high) for name, (low, high) in bounds.items()}


def uniform_distance(values: Values) -> float:
    """Computes the largest distance of the distribution of values from the uniform one, as Kolmogorov and Smirnov do.

    Args:
        values: [N] from 0 to 1, at least one.
    """
    ordered, count = np.sort(values), len(values)
    above = np.arange(1, count + 1) / count - ordered
    return float(max(above.max(), (ordered - np.arange(count) / count).max()))
