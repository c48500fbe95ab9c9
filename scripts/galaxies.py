"""Galaxies to try the system on: magnitudes and redshifts from a mixture model, images rendered from them.

The mixture (galaxies.json) was fitted by training/fit_mixture.py to 3,984 galaxies of the SDSS Main Galaxy Sample. Its
six dimensions are the magnitudes u, g, r, i, z and the redshift. A second one (petrosian.json), fitted to 6,810
galaxies with both magnitudes, tells their Petrosian magnitudes. Images are in nanomaggies per pixel, as SDSS stamps
are.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lambda_image.data.quality import SKY_NOISE, judge_inputs
from lambda_image.errors import InvalidEvent

Array = NDArray[Any]

SIDE = 32  # pixels
PIXEL_SCALE = 0.396  # arcsec per pixel, SDSS
SEEING_FWHM = 1.3  # arcsec
SUBPIXELS = 3  # profiles are evaluated on a grid this much finer than the pixels: 0.13 arcsec
RENDER_CHUNK = 128  # galaxies at a time: 10 MB of fine grid
R, REDSHIFT = 2, 5  # columns of the mixture
# Axes for fits: r and the four colours spread evenly, five magnitudes are nearly one line.
COLOURS = np.array([[0, 0, 1, 0, 0], [1, -1, 0, 0, 0], [0, 1, -1, 0, 0], [0, 0, 1, -1, 0], [0, 0, 0, 1, -1]], float)
# Chosen so that rendered galaxies measure as real stamps do (tests/unit/scripts/test_galaxies.py).
INDEX = (0.95, 1.0, 0.3)  # Sersic index at g - r = 0.4, its growth per magnitude and its scatter
RADIUS = (0.67, -0.08, 0.15)  # log10 of the half-light radius in arcsec at r = 17, its growth per magnitude, scatter
RADII = (0.8, 7.0)  # arcsec: a stamp is 12.7 wide, and should hold most of a galaxy


@dataclass(frozen=True)
class Mixture:
    """A Gaussian mixture over (u, g, r, i, z, redshift), cut to the box that the survey fills."""

    weights: Array  # [K]
    means: Array  # [K, 6]
    covariances: Array  # [K, 6, 6]
    low: Array  # [6]
    high: Array  # [6]

    @classmethod
    def shipped(cls) -> "Mixture":
        """Reads the mixture that ships with the project."""
        return cls(**_shipped("galaxies.json"))

    def draw(self, count: int, rng: np.random.Generator) -> tuple[Array, Array]:
        """Draws galaxies: magnitudes float32 [count, 5] and redshifts float32 [count]."""
        factors = np.linalg.cholesky(self.covariances)
        kept: list[Array] = []
        while (missing := count - sum(map(len, kept))) > 0:
            component = rng.choice(len(self.weights), size=missing + missing // 10 + 8, p=self.weights)
            noise = rng.standard_normal((len(component), 6))
            drawn = self.means[component] + np.einsum("nij,nj->ni", factors[component], noise)
            kept.append(drawn[((drawn >= self.low) & (drawn <= self.high)).all(axis=1)][:missing])
        galaxies = np.concatenate(kept).astype(np.float32)
        return galaxies[:, :REDSHIFT], galaxies[:, REDSHIFT]

    def expected_redshift(self, magnitudes: Array) -> Array:
        """Computes E[redshift | magnitudes], float64 [N], of magnitudes [N, 5].

        It is the conditional mean of a Gaussian mixture (Bishop, Pattern Recognition and Machine Learning, eq. 2.81,
        weighted by each component's responsibility).
        """
        given = magnitudes.astype(np.float64)
        precisions, gains, log_scale = self._conditionals
        offset = given[:, None, :] - self.means[:, :REDSHIFT]  # [N, K, 5]
        distance = np.einsum("nki,kij,nkj->nk", offset, precisions, offset, optimize=True)
        responsibility = log_scale - distance / 2
        responsibility = np.exp(responsibility - responsibility.max(axis=1, keepdims=True))
        redshift = self.means[:, REDSHIFT] + np.einsum("nki,ki->nk", offset, gains[:, 0])
        expected: Array = (responsibility * redshift).sum(axis=1) / responsibility.sum(axis=1)
        return expected

    @cached_property
    def _conditionals(self) -> tuple[Array, Array, Array]:
        return conditionals(self.weights, self.covariances, REDSHIFT)


def conditionals(weights: Array, covariances: Array, given: int) -> tuple[Array, Array, Array]:
    """What conditioning a mixture on its first `given` dimensions takes.

    Returns:
        The components' precisions [K, given, given] among these, the others' gains [K, D - given, given], and the logs
        of the components' scales [K].
    """
    among = covariances[:, :given, :given]
    precisions = np.linalg.inv(among)
    gains = covariances[:, given:, :given] @ precisions
    return precisions, gains, np.log(weights) - np.linalg.slogdet(among)[1] / 2


@dataclass(frozen=True)
class PetrosianMixture:
    """A Gaussian mixture over (u, g, r, i, z, redshift, Petrosian less model magnitude in each band)."""

    weights: Array  # [K]
    means: Array  # [K, 11]
    covariances: Array  # [K, 11, 11]
    low: Array  # [5], of the differences
    high: Array  # [5]

    @classmethod
    def shipped(cls) -> "PetrosianMixture":
        """Reads the mixture that ships with the project."""
        return cls(**_shipped("petrosian.json"))

    def draw(self, magnitudes: Array, redshifts: Array, rng: np.random.Generator) -> Array:
        """Draws Petrosian magnitudes float32 [N, 5] of galaxies with `magnitudes` [N, 5] and `redshifts` [N]."""
        given = np.column_stack((magnitudes, redshifts)).astype(np.float64)
        precisions, gains, log_scale = conditionals(self.weights, self.covariances, given.shape[1])
        offset = given[:, None, :] - self.means[:, : given.shape[1]]  # [N, K, 6]
        distance = np.einsum("nki,kij,nkj->nk", offset, precisions, offset, optimize=True)
        # The largest of the logs of the responsibilities and Gumbel noise is a draw of the component.
        component = (log_scale - distance / 2 + rng.gumbel(size=distance.shape)).argmax(axis=1)
        left = self.covariances[:, 6:, 6:] - gains @ self.covariances[:, :6, 6:]
        factors = np.linalg.cholesky(left)[component]
        middle = self.means[component, 6:] + np.einsum(
            "nij,nj->ni", gains[component], offset[np.arange(len(given)), component]
        )
        drawn = middle + np.einsum("nij,nj->ni", factors, rng.standard_normal(middle.shape))
        petrosian: Array = (magnitudes + np.clip(drawn, self.low, self.high)).astype(np.float32)
        return petrosian


def _shipped(name: str) -> dict[str, Array]:
    fields = json.loads(resources.files(__package__).joinpath(name).read_text())
    return {field: np.array(values) for field, values in fields.items()}


def made_galaxies(count: int, rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """Makes galaxies: images float32 [N, 5, 32, 32], magnitudes float32 [N, 5] and redshifts float32 [N].

    A run would flag one in a thousand draws, whose image does not show the light that its magnitudes promise. These
    are drawn anew, and the others stay as they are.
    """
    images, magnitudes, redshifts = _drawn(count, rng)
    while len(flagged := np.flatnonzero(judge_inputs(images, magnitudes))):
        images[flagged], magnitudes[flagged], redshifts[flagged] = _drawn(len(flagged), rng)
    return images, magnitudes, redshifts


def _drawn(count: int, rng: np.random.Generator) -> tuple[Array, Array, Array]:
    magnitudes, redshifts = Mixture.shipped().draw(count, rng)
    petrosian = PetrosianMixture.shipped().draw(magnitudes, redshifts, rng)
    return render(magnitudes, rng, petrosian), magnitudes, redshifts


def load_catalogue(path: Path) -> tuple[Array, Array, Array]:
    """Reads a catalogue of real galaxies.

    Args:
        path: an .npz file with `mags` and `redshift`, and perhaps `petro_mags`.

    Returns:
        Magnitudes float64 [N, 5] (u, g, r, i, z), redshifts float64 [N] and Petrosian magnitudes float64 [N, 5], which
        are NaN where the catalogue has none.

    Raises:
        InvalidEvent: the file is not such a catalogue; the message says why.
    """
    try:
        with np.load(path, allow_pickle=False) as catalogue:
            magnitudes, redshifts = (catalogue[name].astype(np.float64) for name in ("mags", "redshift"))
            known = catalogue["petro_mags"].astype(np.float64) if "petro_mags" in catalogue else None
    except (OSError, ValueError, KeyError) as error:
        raise InvalidEvent(f"{path} is not an .npz with mags and redshift: {error}") from error
    if magnitudes.ndim != 2 or magnitudes.shape != (len(redshifts), 5) or redshifts.ndim != 1:
        raise InvalidEvent(f"{path}: mags {magnitudes.shape} and redshift {redshifts.shape}; [N, 5] and [N] are needed")
    if known is not None and known.shape != magnitudes.shape:
        raise InvalidEvent(f"{path}: petro_mags {known.shape} and mags {magnitudes.shape} must have one shape")
    return magnitudes, redshifts, np.full(magnitudes.shape, np.nan) if known is None else known


def render(magnitudes: Array, rng: np.random.Generator, petrosian: Array | None = None) -> Array:
    """Renders galaxies as images float32 [N, 5, 32, 32] in nanomaggies.

    Each is a Sersic profile, redder ones more concentrated and brighter ones larger, whose half-light radius shrinks
    from u to z, blurred by a Gaussian PSF, on a sky of Gaussian noise. Nothing in an image depends on the redshift,
    unless the Petrosian magnitudes do.

    Args:
        magnitudes: [N, 5], u, g, r, i, z.
        rng: draws the profiles and the noise.
        petrosian: Petrosian magnitudes [N, 5], whose light the images hold. NaN, and None for all, stand for unknown
            ones: such a band holds the light of its magnitude.
    """
    images = render_light(magnitudes, rng, petrosian)
    for start in range(0, len(images), RENDER_CHUNK):  # noise for all at once would take several times their memory
        chunk = images[start : start + RENDER_CHUNK]
        chunk[:] = chunk + SKY_NOISE[:, None, None] * rng.standard_normal(chunk.shape, np.float32)
    return images


def render_light(magnitudes: Array, rng: np.random.Generator, petrosian: Array | None = None) -> Array:
    """Renders what `render` does, without the sky's noise: float32 [N, 5, 32, 32]."""
    known = np.full(magnitudes.shape, np.nan) if petrosian is None else petrosian
    total = np.where(np.isfinite(known), known, magnitudes)
    images = np.empty((len(magnitudes), len(SKY_NOISE), SIDE, SIDE), np.float32)
    for start in range(0, len(magnitudes), RENDER_CHUNK):
        chunk = slice(start, start + RENDER_CHUNK)
        images[chunk] = _render_chunk(magnitudes[chunk].astype(np.float64), total[chunk], rng)
    return images


def _render_chunk(magnitudes: Array, total: Array, rng: np.random.Generator) -> Array:
    count, colour = len(magnitudes), magnitudes[:, 1] - magnitudes[:, R]
    index = np.clip(INDEX[0] + INDEX[1] * (colour - 0.4) + INDEX[2] * rng.standard_normal(count), 0.5, 2.5)
    radius = 10 ** (RADIUS[0] + RADIUS[1] * (magnitudes[:, R] - 17) + RADIUS[2] * rng.standard_normal(count))
    radius = np.clip(radius, *RADII)  # half-light, arcsec
    shrinking = np.clip(0.08 + 0.04 * rng.standard_normal(count), 0, 0.2)  # from r to u and from r to z
    ratio, angle = rng.uniform(0.35, 1, count), rng.uniform(0, np.pi, count)
    centre = rng.uniform(-0.5, 0.5, (2, count, 1)) * PIXEL_SCALE
    step = PIXEL_SCALE / SUBPIXELS
    axis = (np.arange(SIDE * SUBPIXELS) - (SIDE * SUBPIXELS - 1) / 2) * step
    x, y = (axis - centre[0])[:, None, :], (axis - centre[1])[:, :, None]  # [N, 1, 96] and [N, 96, 1]
    cos, sin = np.cos(angle)[:, None, None], np.sin(angle)[:, None, None]
    along, across = x * cos + y * sin, (y * cos - x * sin) / ratio[:, None, None]
    # Softened within a third of a step: a steep profile's cusp would otherwise depend on where the grid falls.
    distance = np.sqrt(along**2 + across**2 + (step / 3) ** 2).astype(np.float32)  # float32 takes half the time
    steepness = _steepness(index)
    power = distance ** (1 / index).astype(np.float32)[:, None, None]

    def shape(size: Array) -> Array:  # [N, 1, 32, 32], sums to at most 1
        profile = np.exp(-(steepness * size ** (-1 / index)).astype(np.float32)[:, None, None] * power)
        profile *= (step**2 / _total_light(index, size, ratio)).astype(np.float32)[:, None, None]
        pixels: Array = _BLUR @ profile @ _BLUR.T
        return pixels[:, None]

    outer, inner = shape(radius * (1 + shrinking)), shape(radius * (1 - shrinking))
    share = np.linspace(0, 1, 5)[:, None, None]  # of the inner light: u, g, r, i, z
    flux = 10 ** ((22.5 - total) / 2.5)  # [N, 5] nanomaggies
    images: Array = flux[:, :, None, None] * (outer + share * (inner - outer))
    return images


def _steepness(index: Array) -> Array:
    """b in the Sersic profile exp(-b r^(1/n)), so that half the light is within r = 1.

    Ciotti and Bertin 1999, eq. 18, to second order.
    """
    b: Array = 2 * index - 1 / 3 + 4 / (405 * index) + 46 / (25515 * index**2)
    return b


def _total_light(index: Array, radius: Array, ratio: Array) -> Array:
    """The integral of the profile over the sky, in arcsec^2, out to where the outermost light has faded."""
    r = np.geomspace(1e-4, 60, 400)
    light = np.exp(-_steepness(index)[:, None] * r ** (1 / index)[:, None])
    total: Array = 2 * np.pi * ratio * radius**2 * np.trapezoid(light * r, r, axis=1)
    return total


def _blur_matrix() -> Array:
    """[32, 96]: a fine row of light -> pixels, blurred by the PSF and summed over each pixel's sub-pixels."""
    fine = np.arange(SIDE * SUBPIXELS)
    sigma = SEEING_FWHM / PIXEL_SCALE * SUBPIXELS / np.sqrt(8 * np.log(2))
    psf = np.exp(-(((fine[:, None] - fine) / sigma) ** 2) / 2) / (sigma * np.sqrt(2 * np.pi))
    blur: Array = psf.reshape(SIDE, SUBPIXELS, -1).sum(axis=1).astype(np.float32)
    return blur


_BLUR = _blur_matrix()
