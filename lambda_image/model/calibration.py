"""Error bars of predicted redshifts, by a calibration that lies beside the weights it was made for. numpy only.

A calibration (NAME.calibration.json beside NAME.safetensors) holds a small network. From the predicted redshift and the
magnitudes of a galaxy it tells the shape of p(z): a sinh-arcsinh distribution (Jones and Pewsey 2009, Biometrika 96,
761), which has a place, a width, a skewness and tails of its own. The quantiles are read from it at scores that enclose
the wanted shares of true redshifts among galaxies that the network was not fitted to, which makes them conformal (Vovk,
Gammerman and Shafer 2005). `cosmicai calibrate` makes it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lambda_image.atomic_file import atomic_file
from lambda_image.data.distributions import LEVELS, MEDIAN, Quantiles
from lambda_image.data.quality import REDSHIFTS
from lambda_image.errors import CheckpointError
from lambda_image.json_text import parse_json

FORMAT = "cosmicai.calibration.1"
SUFFIX = ".calibration.json"
SHAPE = 4  # what the network says of a galaxy: place, width, skewness and tails
MOST_ROWS = 8192  # at a time, so that memory does not grow with a rank's galaxies
# Lower redshifts are measured on a scale that never reaches 0, so that no quantile does.
FLOOR = 0.02
LEAST = FLOOR / 6  # what is lower counts as this in a fit, as it would otherwise be far out on that scale
WIDTHS, TAILS = (-5.0, 3.0), (-1.0, 1.0)  # of logarithms: what a network may say where it saw few galaxies
SKEW = 3.0
MODE_STEP = 0.25
MODE_SCORES = np.arange(-3, 3.1, MODE_STEP)[:, None]
MODE_WEIGHTS = np.sqrt(1 + MODE_SCORES**2) * np.exp(-(MODE_SCORES**2) / 2)  # of the density; the rest is 1 / cosh

Values = NDArray[np.float64]


class PhotoZ(NamedTuple):
    """What a calibration says of N galaxies.

    Attributes:
        redshift_err: Float32 [N]. 68 % of true redshifts lie within `redshift` ± `redshift_err`.
        z_mode: Float32 [N], where p(z) is highest.
        quantiles: Float32 [N, 11], strictly ascending and above 0.
    """

    redshift_err: NDArray[np.float32]
    z_mode: NDArray[np.float32]
    quantiles: Quantiles


@dataclass(frozen=True)
class RedshiftCalibration:
    """Tells p(z) of galaxies from their predicted redshifts and magnitudes.

    Attributes:
        weights_sha256: The file of weights that it was made for.
        magnitudes: How many magnitudes a galaxy has.
        low: [F], the least values of the features that it was fitted to. Galaxies beyond are taken for galaxies there.
        high: [F], the largest.
        middle: [F], means of the features.
        scale: [F], their standard deviations.
        layers: weights [in, out] and offsets [out] of each layer.
        residual: The standard deviation of true less predicted redshifts.
        scores: [11], normal scores that belong to the levels.
        factor: By which an error bar is multiplied so that it holds 68 %.
        made: What was told when it was made: galaxies, and measures on galaxies that it was not fitted to.
    """

    weights_sha256: str
    magnitudes: int
    low: Values
    high: Values
    middle: Values
    scale: Values
    layers: Sequence[tuple[Values, Values]]
    residual: float
    scores: Values
    factor: float = 1.0
    made: Mapping[str, Any] = field(default_factory=dict)

    def describe(self, redshifts: ArrayLike, magnitudes: ArrayLike) -> PhotoZ:
        """Tells error bars and quantiles.

        Args:
            redshifts: Predicted [N], NaN where there is no prediction.
            magnitudes: [N, M].

        Returns:
            What is said of N galaxies, NaN where there is no prediction.

        Raises:
            ValueError: The shapes are not these.
        """
        z, mags = np.asarray(redshifts, np.float64), np.asarray(magnitudes, np.float64)
        if z.ndim != 1 or mags.shape != (len(z), self.magnitudes):
            needed = f"[N] and [N, {self.magnitudes}] are needed"
            raise ValueError(f"redshifts have the shape {list(z.shape)} and magnitudes {list(mags.shape)}; {needed}")
        err, mode = np.full(len(z), np.nan, np.float32), np.full(len(z), np.nan, np.float32)
        quantiles = np.full((len(z), len(LEVELS)), np.nan, np.float32)
        good = np.flatnonzero(np.isfinite(z) & np.isfinite(mags).all(axis=1))
        for start in range(0, len(good), MOST_ROWS):
            rows = good[start : start + MOST_ROWS]
            err[rows], mode[rows], quantiles[rows] = self._describe(z[rows], mags[rows])
        return PhotoZ(err, mode, quantiles)

    def _describe(self, z: Values, magnitudes: Values) -> tuple[Values, Values, Quantiles]:
        place, width, skewness, tails = self.shape(z, magnitudes)
        straight = place + width * np.sinh((np.arcsinh(self.scores)[:, None] + skewness) / tails)  # [11, N]
        error = self._error(straight[LEVELS.index(0.16)], straight[MEDIAN], straight[LEVELS.index(0.84)], z)
        score = _mode_score(skewness, tails)
        mode = place + width * np.sinh((np.arcsinh(score) + skewness) / tails)
        return error, above_zero(mode), _ascending(above_zero(straight).T)

    def _error(self, low: Values, middle: Values, high: Values, z: Values) -> Values:
        """Half the width of p(z), and how far its middle is from the prediction, added as independent errors are."""
        error: Values = self.factor * np.sqrt(((high - low) / 2) ** 2 + (middle - z) ** 2)
        return error

    def shape(self, redshifts: Values, magnitudes: Values) -> tuple[Values, Values, Values, Values]:
        """Asks the network.

        Args:
            redshifts: float64 [N].
            magnitudes: float64 [N, M].

        Returns:
            Place, width, skewness and tails of p(z), float64 [N] each.
        """
        redshifts = plausible(redshifts)
        known = (np.clip(features(redshifts, magnitudes), self.low, self.high) - self.middle) / self.scale
        x = known.astype(np.float32)  # in which the network is half as slow
        for weight, offset in self._layers[:-1]:
            x = x @ weight + offset
            x /= 1 + np.exp(-x)  # SiLU
        weight, offset = self._layers[-1]
        place, width, skewness, tails = (x @ weight + offset).T
        return (
            redshifts + self.residual * place,
            self.residual * np.exp(np.clip(width, *WIDTHS)),
            np.clip(skewness, -SKEW, SKEW),
            np.exp(np.clip(tails, *TAILS)),
        )

    @cached_property
    def _layers(self) -> Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        return [(weight.astype(np.float32), offset.astype(np.float32)) for weight, offset in self.layers]

    def write(self, path: Path) -> None:
        """Writes it; the file appears whole or not at all."""
        # Of scores that are nearly equal, rounding would make equal ones.
        content = {"format": FORMAT, **asdict(self), "scores": self.scores.tolist()}
        with atomic_file(path) as partial:
            partial.write_text(json.dumps(content, default=_rounded) + "\n")

    @classmethod
    def read(cls, path: Path) -> "RedshiftCalibration":
        """Reads what `write` wrote.

        Raises:
            CheckpointError: the file is anything else.
        """
        try:
            content = parse_json(path.read_text())
            if content.pop("format") != FORMAT:
                raise ValueError(f"its format is not {FORMAT}")
            arrays = {name: np.array(content[name], float) for name in ("low", "high", "middle", "scale", "scores")}
            layers = [(np.array(weight, float), np.array(offset, float)) for weight, offset in content["layers"]]
            made = cls(**{**content, **arrays, "layers": layers})
            made._check()
        except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
            raise CheckpointError(
                f"calibration {path} cannot be used ({error}): make it again with `cosmicai calibrate`, or remove it",
                path=str(path),
            ) from error
        return made

    def _check(self) -> None:
        width = 1 + self.magnitudes
        if any(array.shape != (width,) for array in (self.low, self.high, self.middle, self.scale)):
            raise ValueError(f"it is not about {width} features")
        for weight, offset in self.layers:
            if weight.shape != (width, len(offset)):
                raise ValueError("its layers do not fit one another")
            width = len(offset)
        if width != SHAPE or self.scores.shape != (len(LEVELS),) or not (np.diff(self.scores) > 0).all():
            raise ValueError("its scores or its last layer are not those of a calibration")
        numbers = [
            self.low,
            self.high,
            self.middle,
            self.scale,
            self.scores,
            *(array for layer in self.layers for array in layer),
        ]
        if not all(np.isfinite(array).all() for array in numbers) or not (self.scale > 0).all():
            raise ValueError("it holds numbers that are not finite")
        if not (0 < self.residual < np.inf and 0 < self.factor < np.inf):
            raise ValueError("it has no width")


def features(redshifts: Values, magnitudes: Values) -> Values:
    """Makes what a calibration knows of galaxies: predicted redshift, the middle magnitude, and all colours.

    Args:
        redshifts: float64 [N].
        magnitudes: float64 [N, M].

    Returns:
        float64 [N, 1 + M].
    """
    count = magnitudes.shape[1]
    return np.column_stack((redshifts, magnitudes[:, count // 2 : count // 2 + 1], -np.diff(magnitudes, axis=1)))


def plausible(redshifts: Values) -> Values:
    """Takes an implausible prediction for the nearest plausible one, as its own place says nothing of the galaxy."""
    return np.clip(redshifts, *REDSHIFTS)


def above_zero(straight: Values) -> Values:
    """Brings redshifts from the scale of the fit, on which they may be negative, to their own.

    Args:
        straight: any numbers. Those from `FLOOR` on stay, and lower ones come ever nearer to 0.
    """
    return np.where(straight >= FLOOR, straight, FLOOR**2 / (2 * FLOOR - np.minimum(straight, FLOOR)))


def straightened(redshifts: Values) -> Values:
    """Does the opposite of `above_zero`. Redshifts below `LEAST` count as that."""
    low = np.maximum(redshifts, LEAST)
    return np.where(low >= FLOOR, low, 2 * FLOOR - FLOOR**2 / low)


def calibration_path(weights: Path) -> Path:
    """Names the file of the calibration of weights."""
    return weights.with_name(weights.name.removesuffix(weights.suffix) + SUFFIX)


def _mode_score(skewness: Values, tails: Values) -> Values:
    """The normal score at which the density is highest: of a parabola through the best of a grid and its neighbours."""
    density = MODE_WEIGHTS / np.cosh((np.arcsinh(MODE_SCORES) + skewness) / tails)  # [grid, N]
    best = np.clip(density.argmax(axis=0), 1, len(MODE_SCORES) - 2)
    columns = np.arange(len(skewness))
    before, at, behind = np.log([density[best + step, columns] for step in (-1, 0, 1)])
    curve = before - 2 * at + behind
    step = np.where(curve < 0, (before - behind) / (2 * np.where(curve < 0, curve, 1)), 0)
    found: Values = MODE_SCORES[best, 0] + np.clip(step, -1, 1) * MODE_STEP
    return found


def _ascending(quantiles: Values) -> Quantiles:
    """In float32 two quantiles must not become one, as a distribution has no such step."""
    rounded = quantiles.astype(np.float32)
    if not (rounded[:, 1:] > rounded[:, :-1]).all():
        for index in range(1, rounded.shape[1]):
            lowest = np.nextafter(rounded[:, index - 1], np.float32(np.inf))
            rounded[:, index] = np.maximum(rounded[:, index], lowest)
    return rounded


def _rounded(value: Any) -> Any:
    return [float(f"{number:.7g}") for number in value] if value.ndim == 1 else [_rounded(row) for row in value]
