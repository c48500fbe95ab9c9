"""What is wrong with a galaxy's row, as flags that the table of predictions carries.

Nothing is hidden: a row whose image or magnitudes cannot be judged keeps its place in the table, with a flag that says
why and no prediction. The other flags leave the prediction as it is.

| bit | flag | meaning | prediction |
| --- | --- | --- | --- |
| 1 | IMAGE_NOT_FINITE | a pixel is NaN or infinite | none |
| 2 | IMAGE_IMPLAUSIBLE | a pixel lies outside PIXELS: -9999, 1e20 and their like stand for missing ones | none |
| 4 | MAGNITUDE_BAD | a magnitude is NaN or lies outside MAGNITUDES: -9999, -99 and 99 stand for missing ones | none |
| 8 | REDSHIFT_UNKNOWN | the true redshift is NaN, not given or outside REDSHIFTS, as -1 and -9999 are | kept |
| 16 | PREDICTION_NOT_FINITE | the engine's answer is NaN or infinite | none |
| 32 | FLUX_CONTRADICTS | the image holds far more or less light than the magnitudes say, or other colours | kept |
| 64 | PREDICTION_IMPLAUSIBLE | the engine's answer lies outside REDSHIFTS, as of an image in other units | kept |
| 128 | NOT_DETECTED | a magnitude is 99, the code for a galaxy that is too faint in a band; MAGNITUDE_BAD, too | none |
| 256 | NOT_OBSERVED | a magnitude is -99, the code for a band that was not observed; MAGNITUDE_BAD, too | none |
"""

from enum import IntFlag
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lambda_image.data.sizes import PUBLISHED, Sizes
from lambda_image.model.inputs import as_inputs

# Nanomaggies in one pixel. The noisiest band has 0.14 of noise, so a pixel of -10 is no measurement; 1e5 in one pixel
# is a star of magnitude 10, next to which no galaxy is measured.
PIXELS = (-10.0, 1e5)
MAGNITUDES = (0.0, 40.0)  # of anything that a survey measures
# Codes among magnitudes, as programs for photometric redshifts read them (BPZ: Benitez 2000; Coe et al. 2006). Decimals
# that some catalogues append (99.99) belong to the code.
NOT_DETECTED, NOT_OBSERVED = 99, -99
REDSHIFTS = (-0.1, 20.0)  # no galaxy comes nearer at a tenth of the speed of light, and none is known beyond 15
# Standard deviation of the sky's noise in SDSS stamps, in nanomaggies per pixel: u, g, r, i, z. Other bands are taken
# for as noisy as the noisiest of these, so that fewer of their galaxies are compared.
SKY_NOISE = np.array([0.041, 0.018, 0.026, 0.038, 0.135])
# A band is compared where its magnitude promises so many times the noise of the whole stamp.
COMPARED_ABOVE_NOISE = 10.0
# In magnitudes, the median over the compared bands. A stamp of 13 arcsec loses up to half of a large galaxy's light
# (0.75); images in other units are off by 2.5 and more.
FLUX_TOLERANCE = 1.5
# In magnitudes, between a compared band and the median over the compared bands. What a stamp loses of a galaxy's light
# hardly depends on the band, and 10 times the noise of SDSS is 0.1 mag. Before a row is flagged for one band, the noise
# of its own image counts. Bands in another order, and magnitudes that are shifted in one band, are off by more.
COLOUR_TOLERANCE = 1.0


class Quality(IntFlag):
    """Says what is wrong with a galaxy; 0 where nothing is. docs/runs.md says what each flag means."""

    IMAGE_NOT_FINITE = 1
    IMAGE_IMPLAUSIBLE = 2
    MAGNITUDE_BAD = 4
    REDSHIFT_UNKNOWN = 8
    PREDICTION_NOT_FINITE = 16
    FLUX_CONTRADICTS = 32
    PREDICTION_IMPLAUSIBLE = 64
    NOT_DETECTED = 128
    NOT_OBSERVED = 256


# With any of these a row has no prediction.
UNPREDICTABLE = (
    Quality.IMAGE_NOT_FINITE
    | Quality.IMAGE_IMPLAUSIBLE
    | Quality.MAGNITUDE_BAD
    | Quality.PREDICTION_NOT_FINITE
    | Quality.NOT_DETECTED
    | Quality.NOT_OBSERVED
)

Flags = NDArray[np.int32]
OnBadRow = Literal["flag", "skip", "fail"]  # what becomes of a row that cannot be judged


def quality(
    images: ArrayLike, magnitudes: ArrayLike, redshifts: ArrayLike | None = None, *, sizes: Sizes = PUBLISHED
) -> Flags:
    """Say what is wrong with each galaxy, by the flags that a run writes into the column `quality`.

    Args:
        images: [N, bands, side, side] in nanomaggies per pixel.
        magnitudes: [N, M].
        redshifts: True redshifts [N] where there are any. Without them none is flagged as unknown.
        sizes: Bands, side and M, as `Engine.sizes` says. The default is the published network's,
            which are 5 bands u, g, r, i, z with as many magnitudes, and a side of 32.

    Returns:
        Sums of `Quality`, int32 [N], 0 where nothing is wrong. Those about predictions are never among them.

    Raises:
        ValueError: The shapes are not these, or the values are not real numbers.
    """
    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, and judged so
        flags = judge_inputs(*as_inputs(images, magnitudes, sizes))
    if redshifts is not None:
        true = np.asarray(redshifts)
        if true.shape != flags.shape:
            raise ValueError(f"redshifts have the shape {list(true.shape)}; [{len(flags)}] is needed")
        flags[~known_redshifts(true)] |= Quality.REDSHIFT_UNKNOWN
    return flags


def judge_inputs(images: NDArray[Any], magnitudes: NDArray[Any]) -> Flags:
    """Judge what goes into the network.

    Args:
        images: float32 [N, bands, side, side], nanomaggies per pixel.
        magnitudes: float32 [N, M], AB. They are compared with the images where there is one for each band.

    Returns:
        int32 [N], the flags of each row that its image and magnitudes give.
    """
    pixels = images.reshape(len(images), int(np.prod(images.shape[1:])))
    flags = np.zeros(len(images), np.int32)
    lowest, highest = pixels.min(axis=1, initial=np.inf), pixels.max(axis=1, initial=-np.inf)  # NaN comes through
    finite = np.isfinite(lowest) & np.isfinite(highest)
    flags[~finite] |= Quality.IMAGE_NOT_FINITE
    flags[finite & ((lowest < PIXELS[0]) | (highest > PIXELS[1]))] |= Quality.IMAGE_IMPLAUSIBLE
    low, high = MAGNITUDES
    flags[~((magnitudes > low) & (magnitudes < high)).all(axis=1)] |= Quality.MAGNITUDE_BAD
    bad = np.flatnonzero(flags & Quality.MAGNITUDE_BAD)
    if len(bad):
        whole = np.trunc(magnitudes[bad])
        flags[bad[(whole == NOT_DETECTED).any(axis=1)]] |= Quality.NOT_DETECTED
        flags[bad[(whole == NOT_OBSERVED).any(axis=1)]] |= Quality.NOT_OBSERVED
    judged = flags == 0
    if judged.any() and images.shape[1] == magnitudes.shape[1]:
        rows = np.flatnonzero(judged)
        flags[rows[_contradict(images[rows] if len(rows) < len(images) else images, magnitudes[rows])]] |= (
            Quality.FLUX_CONTRADICTS
        )
    return flags


def _contradict(images: NDArray[Any], magnitudes: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether the light in each image is not what its magnitudes say; of rows that are sound otherwise."""
    bands, side = images.shape[1:3]
    measured = images.sum(axis=(2, 3), dtype=np.float64)  # [N, bands] nanomaggies
    expected = 10 ** ((22.5 - magnitudes.astype(np.float64)) / 2.5)
    noise = (SKY_NOISE if bands == len(SKY_NOISE) else np.full(bands, SKY_NOISE.max())) * side
    compared = expected > COMPARED_ABOVE_NOISE * noise
    # Less than the noise counts as the noise: a stamp without light is far too faint, and has no logarithm.
    difference = 2.5 * np.log10(np.maximum(measured, noise) / expected)
    difference[~compared] = np.nan
    some = compared.any(axis=1)
    contradicts = np.zeros(len(images), np.bool_)
    middle = np.nanmedian(difference[some], axis=1)
    apart = np.nanmax(np.abs(difference[some] - middle[:, None]), axis=1)
    contradicts[some] = (np.abs(middle) > FLUX_TOLERANCE) | (apart > COLOUR_TOLERANCE)
    unsure = np.flatnonzero(some)[(apart > COLOUR_TOLERANCE) & (np.abs(middle) <= FLUX_TOLERANCE)]
    if len(unsure):  # few: by one band, which the noise of this image or what is left of its sky may have moved
        off = difference[unsure]
        off[expected[unsure] <= COMPARED_ABOVE_NOISE * _uncertainty(images[unsure])] = np.nan
        off[np.isnan(off).all(axis=1)] = 0
        contradicts[unsure] = np.nanmax(np.abs(off - np.nanmedian(off, axis=1)[:, None]), axis=1) > COLOUR_TOLERANCE
    return contradicts


def _uncertainty(images: NDArray[Any]) -> NDArray[np.float64]:
    """Standard deviation of the flux of each band [N, bands], as far as pixels at the edge of the image tell."""
    side = images.shape[-1]
    edge = np.concatenate((images[..., 0, :], images[..., -1, :], images[..., :, 0], images[..., :, -1]), axis=-1)
    middle = np.median(edge, axis=-1)
    noise = 1.4826 * np.median(np.abs(edge - middle[..., None]), axis=-1)
    found: NDArray[np.float64] = np.asarray(noise * side, np.float64)
    return found


def known_redshifts(redshifts: NDArray[Any]) -> NDArray[np.bool_]:
    """Tell which redshifts [N] a galaxy can have. Others are placeholders.

    Args:
        redshifts: any floating-point type, [N]; NaN stands for an unknown one.

    Returns:
        bool [N].
    """
    return (redshifts > REDSHIFTS[0]) & (redshifts < REDSHIFTS[1])


_IN_WORDS = {
    Quality.IMAGE_NOT_FINITE: "a pixel of the image is not finite",
    Quality.IMAGE_IMPLAUSIBLE: f"a pixel of the image lies outside {PIXELS[0]:g} to {PIXELS[1]:g} nanomaggies",
    Quality.MAGNITUDE_BAD: f"a magnitude is missing or lies outside {MAGNITUDES[0]:g} to {MAGNITUDES[1]:g}",
    Quality.REDSHIFT_UNKNOWN: "the true redshift is unknown or stands for an unknown one",
    Quality.PREDICTION_NOT_FINITE: "the predicted redshift is not finite",
    Quality.FLUX_CONTRADICTS: "the image holds several times more or less light than the magnitudes say, or another "
    "colour",
    Quality.PREDICTION_IMPLAUSIBLE: f"the predicted redshift lies outside {REDSHIFTS[0]:g} to {REDSHIFTS[1]:g}",
    Quality.NOT_DETECTED: f"a magnitude is {NOT_DETECTED}, which says that the galaxy was not detected in that band",
    Quality.NOT_OBSERVED: f"a magnitude is {NOT_OBSERVED}, which says that the galaxy was not observed in that band",
}


def describe(flag: Quality) -> str:
    """Say in words what a flag means.

    Args:
        flag: one or several flags.

    Returns:
        A clause for each of them.
    """
    return ", ".join(words for one, words in _IN_WORDS.items() if flag & one)


def count_by_flag(flags: NDArray[Any]) -> dict[str, int]:
    """Count the rows that carry each flag.

    Args:
        flags: int [N].

    Returns:
        Rows by the flag's name in lower case, for every flag that there is.
    """
    return {flag.name.lower(): int(np.count_nonzero(flags & flag)) for flag in Quality if flag.name}
