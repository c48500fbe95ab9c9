"""What images are worth to a model: its redshifts once more with zeros, noise or another galaxy's image instead.

Zeros and noise are images that a model never saw in training, and may do worse than no image would. Another galaxy's
image is one that it could be given, and tells nothing of the galaxy. The change of R² with it is therefore what a model
owes to what images show.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lambda_image.data.partition import open_partition
from lambda_image.metrics import NMAD_FACTOR, accuracy
from lambda_image.model.engine import Engine, predict_judged
from scripts.evaluate.bootstrap import MeasuredInterval, intervals
from scripts.shard import Stretch

ZEROS, NOISE, ANOTHER = "zeros", "noise", "another galaxy's image"
SKY_PIXELS = 100_000  # of a band, from which the noise of its sky is estimated

Images = NDArray[np.float32]
Redshifts = NDArray[np.float64]


@dataclass(frozen=True)
class OtherImages:
    """The accuracy with other images, and what the galaxies' own change beside it.

    Attributes:
        images: What took the images' place.
        r2: R² with them.
        r2_change: R² with the galaxies' own images less `r2`. Both count the same galaxies, also in each draw.
        nmad: NMAD with them.
    """

    images: str
    r2: MeasuredInterval
    r2_change: MeasuredInterval
    nmad: MeasuredInterval

    def to_json(self) -> dict[str, Any]:
        """Gives it as the report has it."""
        found = {name: getattr(self, name).to_json() for name in ("r2", "r2_change", "nmad")}
        return {"images": self.images, **found}


@dataclass(frozen=True)
class Ablation:
    """What images are worth to a model, measured on some galaxies."""

    galaxies: int
    r2: MeasuredInterval  # with their own images
    replaced: Sequence[OtherImages]

    def to_json(self) -> dict[str, Any]:
        """Gives it as the report has it."""
        replaced = [one.to_json() for one in self.replaced]
        return {"galaxies": self.galaxies, "r2": self.r2.to_json(), "replaced": replaced}

    def line(self) -> str:
        """Says it in one line."""
        changes = ", ".join(f"{_signed(one.r2_change)} beside {one.images}" for one in self.replaced)
        return f"images change R² by {changes}"

    def verdict(self) -> str:
        """Says whether the model reads anything in a galaxy's image."""
        change = next(one.r2_change for one in self.replaced if one.images == ANOTHER)
        if change.low is None or change.high is None:
            return "whether this model uses images cannot be said of these galaxies"
        if change.low > 0:
            return "this model uses what images show"
        if change.high < 0:
            return "this model does worse with a galaxy's own image than with another's"
        return "this model uses nothing that images show: another galaxy's image serves it as well"


def read_images(share: Sequence[Stretch], rows: NDArray[np.int64], batch_size: int, engine: Engine) -> Images:
    """Reads the images of some galaxies.

    Args:
        share: what the dataset consists of.
        rows: the galaxies' places in it, in ascending order.
        batch_size: how many are read at a time.
        engine: what will be given them.

    Returns:
        float32 [rows, bands, side, side].
    """
    images = np.empty((len(rows), *engine.sizes.image), np.float32)
    begin = 0
    for stretch in share:
        length = stretch.stop - stretch.start
        if np.searchsorted(rows, begin) < np.searchsorted(rows, begin + length):
            stream = open_partition(stretch.file, rows=(stretch.start, stretch.stop), sizes=engine.sizes)
            at = begin
            for batch in stream.images(batch_size):
                first, last = np.searchsorted(rows, [at, at + len(batch)])
                images[first:last] = batch[rows[first:last] - at]
                at += len(batch)
        begin += length
    return images


def ablate(
    engine: Engine,
    images: Images,
    magnitudes: NDArray[np.float32],
    predicted: NDArray[np.float32],
    true: NDArray[np.float32],
    *,
    batch_size: int,
    resamples: int,
    rng: np.random.Generator,
) -> Ablation:
    """Predicts with other images.

    Args:
        engine: predicts.
        images: float32 [N, bands, side, side].
        magnitudes: float32 [N, M].
        predicted: redshifts [N] with the images as they are.
        true: redshifts [N].
        batch_size: galaxies at a time.
        resamples: draws of an interval.
        rng: draws noise, other galaxies and resamples.
    """
    count, sky, order = len(images), sky_noise(images, rng), rng.permutation(len(images))
    donor = np.empty(count, np.int64)
    donor[order] = np.roll(order, 1)  # nobody's own, where there are two or more
    makers: dict[str, Callable[[slice], Images]] = {
        ZEROS: lambda part: np.zeros_like(images[part]),
        NOISE: lambda part: rng.standard_normal(images[part].shape, np.float32) * sky[:, None, None],
        ANOTHER: lambda part: images[donor[part]],
    }
    own, truth = predicted.astype(np.float64), true.astype(np.float64)
    replaced = []
    for name, make in makers.items():
        found = np.empty(count, np.float64)
        for start in range(0, count, batch_size):
            part = slice(start, start + batch_size)
            found[part] = predict_judged(engine, make(part), magnitudes[part]).redshifts
        replaced.append((name, _compare(own, found, truth, resamples, rng)))
    compared = [OtherImages(name, found["r2"], found["r2_change"], found["nmad"]) for name, found in replaced]
    return Ablation(count, replaced[0][1]["own_r2"], compared)


def sky_noise(images: Images, rng: np.random.Generator) -> NDArray[np.float32]:
    """Estimates the standard deviation of the sky in each band, by the median of pixels' distances from their median.

    Args:
        images: float32 [N, bands, side, side].
        rng: chooses pixels, as some are enough.
    """
    flat = images.reshape(*images.shape[:2], images.shape[2] * images.shape[3])
    places = rng.integers(len(flat), size=SKY_PIXELS), rng.integers(flat.shape[2], size=SKY_PIXELS)
    pixels = flat[places[0], :, places[1]]  # [pixels, bands]
    middle = np.median(pixels, axis=0)
    found: NDArray[np.float32] = (NMAD_FACTOR * np.median(np.abs(pixels - middle), axis=0)).astype(np.float32)
    return found


def _compare(
    own: Redshifts, found: Redshifts, true: Redshifts, resamples: int, rng: np.random.Generator
) -> dict[str, MeasuredInterval]:
    answered = np.isfinite(found)  # a network may know no answer to an image without light
    everywhere = bool(answered.all())

    def measure(rows: NDArray[np.int64]) -> dict[str, float | None]:
        with_own, without = accuracy(own[rows], true[rows]), accuracy(found[rows], true[rows])
        alike = with_own if everywhere else accuracy(np.where(answered, own, np.nan)[rows], true[rows])
        defined = alike.r2 is not None and without.r2 is not None
        change = alike.r2 - without.r2 if defined else None  # type: ignore[operator]
        return {"own_r2": with_own.r2, "r2": without.r2, "r2_change": change, "nmad": without.nmad}

    return intervals(measure, len(true), resamples, rng)


def _signed(change: MeasuredInterval) -> str:
    if change.value is None:
        return "an undefined amount"
    within = "" if change.low is None else f" ({change.low:+.4f} to {change.high:+.4f})"
    return f"{change.value:+.4f}{within}"
