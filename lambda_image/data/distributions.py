"""Redshift distributions p(z) as quantiles, and what true redshifts say of them. Arrays only, no I/O.

Quantiles do not say what lies between them. Here it is what qp reads from them (qp-prob 1.1, `quant`), so that RAIL
finds the same measures. Its distribution function for PIT is a smooth curve through the quantiles, and its density for
the loss is a line through the mean densities between them (`piecewise_linear`). Where quantiles are uneven, the slope
of that curve is not quite that density.
"""

from collections.abc import Callable
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

MOST_ROWS = 4096  # at a time, so that what is computed on the way stays small, and in a processor's cache

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

    It is uniform between 0 and 1 where distributions are right (Dawid 1984, J. R. Statist. Soc. A 147, 278). The
    function is the quadratic spline through the quantiles and both ends of `padded`, with knots midway between them
    (de Boor 1978, A Practical Guide to Splines). Its slope at the knots solves a tridiagonal system.

    Args:
        quantiles: [N, 11], strictly ascending.
        true: redshifts [N].

    Returns:
        float64 [N].
    """
    return _in_turn(_pit, quantiles, true)


def _pit(quantiles: NDArray[Any], true: NDArray[Any]) -> Values:
    levels, z = padded(quantiles)
    points, x, rows = np.ascontiguousarray(z.T), np.asarray(true, np.float64), np.arange(len(z))
    widths = np.diff(points, axis=0)  # [12, N]
    slopes = np.diff(levels)[:, None] / widths
    left = widths[:-1] / (widths[:-1] + widths[1:])  # where each inner point lies between the knots beside it [11, N]
    knots = _knot_slopes(slopes, left)
    inner = knots[:-1] * (1 - left) + knots[1:] * left
    # The outermost knots are none: the slope goes on as a line to both ends.
    at_points = np.vstack((2 * knots[0] - inner[0], inner, 2 * knots[-1] - inner[-1]))
    place = np.clip((points <= x).sum(axis=0) - 1, 0, len(widths) - 1)
    width = widths[place, rows]
    share = np.clip((x - points[place, rows]) / width, 0, 1)
    # From a point to the knot, and from there to the next point, the slope is a line.
    low, knot, high = at_points[place, rows], knots[place, rows], at_points[place + 1, rows]
    first, second = np.minimum(share, 0.5), np.maximum(share - 0.5, 0)
    rise = first * low + first**2 * (knot - low) + second * knot + second**2 * (high - knot)
    found: Values = np.clip(levels[place] + width * rise, 0, 1)
    return found


def _knot_slopes(slopes: Values, left: Values) -> Values:
    """Solves for the slopes at the knots, of which the outermost two are known.

    The spline rises from one point to the next as the levels do. Between those lie a quarter of its width times the
    slope at the one, twice that at the knot, and that at the other, and these are means of slopes at knots.

    Args:
        slopes: the mean slope between two points [12, N].
        left: the share of the right knot in the slope at each inner point [11, N].

    Returns:
        float64 [12, N], by the algorithm of Thomas 1949.
    """
    knots, above = slopes.copy(), np.zeros_like(slopes)
    for row in range(1, len(slopes) - 1):
        before = 1 - left[row - 1]
        pivot = 3 + left[row - 1] - left[row] - before * above[row - 1]
        above[row] = left[row] / pivot
        knots[row] = (4 * slopes[row] - before * knots[row - 1]) / pivot
    for row in range(len(slopes) - 2, 0, -1):
        knots[row] -= above[row] * knots[row + 1]
    return knots


def cde_loss(quantiles: NDArray[Any], true: NDArray[Any]) -> Values:
    """Computes what each galaxy adds to the loss of conditional densities, the mean of ∫ p(z)² dz − 2 p(true).

    It is that of Izbicki and Lee 2017 (Electronic Journal of Statistics 11, 2800). Lower is better.

    Args:
        quantiles: [N, 11], strictly ascending.
        true: redshifts [N].

    Returns:
        float64 [N].
    """
    return _in_turn(_cde_loss, quantiles, true)


def _cde_loss(quantiles: NDArray[Any], true: NDArray[Any]) -> Values:
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


def _in_turn(
    measure: Callable[[NDArray[Any], NDArray[Any]], Values], quantiles: NDArray[Any], true: NDArray[Any]
) -> Values:
    """Measures galaxies, some at a time."""
    parts = [slice(start, start + MOST_ROWS) for start in range(0, len(quantiles), MOST_ROWS)]
    return np.concatenate([np.empty(0), *(measure(quantiles[part], true[part]) for part in parts)])


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
