"""Galaxies in bins of equal counts by magnitude, colour and redshift. No I/O."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lambda_image.data.predictions import Predictions
from lambda_image.data.sizes import BANDS

ALL = "all"
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Bin:
    """Some galaxies.

    Attributes:
        group: By what they were chosen; `ALL` for all of them.
        low: The least value of it among them, None for all galaxies.
        high: The largest.
        rows: Their places among the galaxies given.
    """

    group: str
    low: float | None
    high: float | None
    rows: Rows


def bins(predictions: Predictions, count: int) -> Iterator[Bin]:
    """Puts galaxies into bins.

    Args:
        predictions: galaxies whose true redshift and prediction are known.
        count: bins of each group.

    Yields:
        All galaxies, then the bins of each group from low to high. A group whose values are too few or too equal for so
        many bins has fewer.
    """
    yield Bin(ALL, None, None, np.arange(len(predictions)))
    for group, values in quantities(predictions.magnitudes, predictions.redshift, predictions.redshift_true):
        edges = np.unique(np.quantile(values, np.linspace(0, 1, count + 1)[1:-1]))
        places = np.searchsorted(edges, values, side="right")
        for place in range(len(edges) + 1):
            rows = np.flatnonzero(places == place)
            if len(rows):
                yield Bin(group, float(values[rows].min()), float(values[rows].max()), rows)


def quantities(
    magnitudes: NDArray[np.float32], predicted: NDArray[np.float32], true: NDArray[np.float32]
) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Chooses what galaxies are binned by.

    Args:
        magnitudes: float32 [N, M].
        predicted: redshifts [N].
        true: redshifts [N].

    Yields:
        Names and values [N]: the magnitude in r and the colour g - r of the published bands, and of others the
        middle one and the colour of it and the one before; and both redshifts.
    """
    many = magnitudes.shape[1]
    names = BANDS if many == len(BANDS) else [str(number) for number in range(1, many + 1)]
    middle = many // 2
    if many:
        yield f"magnitude {names[middle]}", magnitudes[:, middle].astype(np.float64)
    if many > 1:
        colour = magnitudes[:, middle - 1].astype(np.float64) - magnitudes[:, middle]
        yield f"colour {names[middle - 1]} - {names[middle]}", colour
    yield "predicted redshift", predicted.astype(np.float64)
    yield "true redshift", true.astype(np.float64)
