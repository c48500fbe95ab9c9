"""Fits a calibration (lambda_image/model/calibration.py) to galaxies whose true redshifts are known.

The network is fitted by maximum likelihood. Its scores come from galaxies that it did not see. In turn each fifth of
them is left out of a fit, which gives their true redshifts normal scores. The score of a level is the quantile of
these, so that the share of true redshifts below it is the level's, whatever the network does not know. Far out, where
there are too few galaxies to tell, it is the normal score stretched as much as the last level that can be told.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lambda_image.data.distributions import LEVELS, SCORES
from lambda_image.errors import InvalidEvent
from lambda_image.model.calibration import (
    SHAPE,
    SKEW,
    TAILS,
    WIDTHS,
    RedshiftCalibration,
    features,
    plausible,
    straightened,
)

FOLDS = 5
WIDTH = 32  # of the network's two hidden layers
STEPS, BATCH, RATE, DECAY = 1500, 512, 3e-3, 1e-3
FEW = 2000  # galaxies for which a network of two layers learns them by heart, and straight lines are fitted
LEAST_BEYOND = 5  # galaxies beyond a score that is told by them
CLIPPED = (0.002, 0.998)  # quantiles of each feature: what lies beyond counts as there
FAR = 3.0  # standard deviations of galaxies without outliers: up to so many the standard deviation is that of all
LARGEST = 8.0  # of asinh: a galaxy further out than a thousand widths pulls no more than one there

Values = NDArray[np.float64]


class Labelled(NamedTuple):
    """Galaxies to fit to: predicted redshifts [N], magnitudes [N, M] and true redshifts [N]."""

    predicted: Values
    magnitudes: Values
    true: Values

    def rows(self, chosen: NDArray[np.int64]) -> "Labelled":
        """Chooses galaxies."""
        return Labelled(*(array[chosen] for array in self))


def fit(
    galaxies: Labelled, weights_sha256: str, seed: int = 0, steps: int = STEPS, few: int = FEW
) -> RedshiftCalibration:
    """Fits a calibration.

    Args:
        galaxies: what it is fitted to.
        weights_sha256: the weights that have predicted.
        seed: the same seed gives the same calibration.
        steps: of each fit.
        few: the number of galaxies below which straight lines are fitted.

    Raises:
        InvalidEvent: most true redshifts are exactly what was predicted, which no error bar can describe.
    """
    hidden = (WIDTH, WIDTH) if len(galaxies.true) >= few else ()  # of all fits, or the scores would be of another model
    galaxies = galaxies._replace(predicted=plausible(galaxies.predicted))
    rng = np.random.default_rng(seed)
    folds = np.array_split(rng.permutation(len(galaxies.true)), FOLDS)
    scores, offs = [], []
    for number, fold in enumerate(folds):
        rest = np.concatenate([other for other in folds if other is not fold])
        part = _fit_network(galaxies.rows(rest), weights_sha256, hidden, seed + 1 + number, steps)
        seen = galaxies.rows(fold)
        scores.append(_scores(part, seen))
        offs.append(np.abs(seen.true - seen.predicted) / part.describe(seen.predicted, seen.magnitudes).redshift_err)
    whole = _fit_network(galaxies, weights_sha256, hidden, seed, steps)
    return _with(whole, scores=level_scores(np.concatenate(scores)), factor=_conformal(np.concatenate(offs)))


def level_scores(scores: Values) -> Values:
    """Chooses the score of each level.

    Args:
        scores: normal scores [N] of true redshifts, by a network that did not see them.

    Returns:
        float64 [11], ascending.
    """
    count = len(scores)
    chosen = np.quantile(scores, LEVELS, method="median_unbiased")
    beyond = count * np.minimum(LEVELS, 1 - np.array(LEVELS))
    told = np.flatnonzero(beyond >= LEAST_BEYOND)
    first, last = told[0], told[-1]
    chosen[:first] = chosen[first] * SCORES[:first] / SCORES[first]
    chosen[last + 1 :] = chosen[last] * SCORES[last + 1 :] / SCORES[last]
    ascending: Values = np.maximum.accumulate(chosen) + 1e-6 * np.arange(len(LEVELS))
    return ascending


def _conformal(offs: Values) -> float:
    """The factor for which a share of 68 % lies within an error bar; of galaxies still to come, too."""
    factor = float(np.quantile(offs, 0.6827, method="higher"))
    if not factor:
        raise InvalidEvent(
            "68% of the true redshifts are exactly what the model predicts, so that error bars would have no width: "
            "--data needs redshifts that were measured"
        )
    return factor


def _with(calibration: RedshiftCalibration, scores: Values, factor: float) -> RedshiftCalibration:
    return replace(calibration, scores=scores, factor=factor * calibration.factor)


def _scores(calibration: RedshiftCalibration, galaxies: Labelled) -> Values:
    place, width, skewness, tails = calibration.shape(galaxies.predicted, galaxies.magnitudes)
    u = (straightened(galaxies.true) - place) / width
    return np.asarray(np.sinh(np.clip(tails * np.arcsinh(u) - skewness, -LARGEST, LARGEST)))


def _fit_network(
    galaxies: Labelled, weights_sha256: str, hidden: Sequence[int], seed: int, steps: int
) -> RedshiftCalibration:
    known = features(galaxies.predicted, galaxies.magnitudes)
    low, high = np.quantile(known, CLIPPED, axis=0)
    clipped = np.clip(known, low, high)
    middle, scale = clipped.mean(axis=0), np.maximum(clipped.std(axis=0), 1e-9)
    off = straightened(galaxies.true) - galaxies.predicted
    low_off, high_off = np.quantile(off, (0.16, 0.84))
    # A few true redshifts that are far off, as wrong ones are, must not be the scale of all.
    residual = max(min(float(off.std()), FAR * float(high_off - low_off) / 2), 1e-9)
    x = torch.tensor((clipped - middle) / scale, dtype=torch.float32)
    y = torch.tensor(off / residual, dtype=torch.float32)
    layers = _train(x, y, hidden, seed, steps)
    return RedshiftCalibration(
        weights_sha256, galaxies.magnitudes.shape[1], low, high, middle, scale, layers, residual, SCORES
    )


def _train(x: Tensor, y: Tensor, hidden: Sequence[int], seed: int, steps: int) -> Sequence[tuple[Values, Values]]:
    with torch.random.fork_rng(devices=[]), one_thread():
        torch.manual_seed(seed)
        sizes = [x.shape[1], *hidden, SHAPE]
        linear = [nn.Linear(*pair) for pair in pairwise(sizes)]
        nn.init.zeros_(linear[-1].weight)  # begins as one normal distribution for all
        nn.init.zeros_(linear[-1].bias)
        inner = [layer for one in linear[:-1] for layer in (one, nn.SiLU())]
        network = nn.Sequential(*inner, linear[-1])
        optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
        for _ in range(steps):
            rows = torch.randint(len(y), (min(BATCH, len(y)),))
            loss = _negative_log_likelihood(network(x[rows]), y[rows])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            schedule.step()
    return [(one.weight.detach().double().numpy().T, one.bias.detach().double().numpy()) for one in linear]


@contextmanager
def one_thread() -> Iterator[None]:
    """In such small steps threads wait for one another longer than they compute."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _negative_log_likelihood(shape: Tensor, y: Tensor) -> Tensor:
    """Of the sinh-arcsinh distribution (Jones and Pewsey 2009, equation 2)."""
    place, width, skewness, tails = shape.T
    width, tails = width.clamp(*WIDTHS), tails.clamp(*TAILS)
    u = (y - place) * torch.exp(-width)
    inner = (torch.exp(tails) * torch.asinh(u) - skewness.clamp(-SKEW, SKEW)).clamp(-LARGEST, LARGEST)
    log_density = torch.log(torch.cosh(inner)) + tails - width - torch.log1p(u * u) / 2 - torch.sinh(inner) ** 2 / 2
    loss: Tensor = -log_density.mean()
    return loss
