"""Galaxies to try the system on: magnitudes and redshifts from a mixture model, images rendered from the magnitudes.

The mixture (galaxies.json) was fitted by fit_mixture.py to 4,000 galaxies of the SDSS Main Galaxy Sample. Its six
dimensions are the magnitudes u, g, r, i, z and the redshift. Images are in nanomaggies per pixel, as SDSS stamps are.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lambda_image.data.quality import SKY_NOISE
from lambda_image.errors import InvalidEvent

Array = NDArray[Any]

SIDE = 32  # pixels
PIXEL_SCALE = 0.396  # arcsec per pixel, SDSS
SEEING_FWHM = 1.3  # arcsec
SUBPIXELS = 3  # profiles are evaluated on a grid this much finer than the pixels: 0.13 arcsec
RENDER_CHUNK = 128  # galaxies at a time: 10 MB of fine grid
R, REDSHIFT = 2, 5  # columns of the mixture


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
        fields = json.loads(resources.files(__package__).joinpath("galaxies.json").read_text())
        return cls(**{name: np.array(values) for name, values in fields.items()})

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
        redshift = self.means[:, REDSHIFT] + np.einsum("nki,ki->nk", offset, gains)
        expected: Array = (responsibility * redshift).sum(axis=1) / responsibility.sum(axis=1)
        return expected

    @cached_property
    def _conditionals(self) -> tuple[Array, Array, Array]:
        among = self.covariances[:, :REDSHIFT, :REDSHIFT]
        precisions = np.linalg.inv(among)  # [K, 5, 5]
        gains = np.einsum("kij,kj->ki", precisions, self.covariances[:, :REDSHIFT, REDSHIFT])  # [K, 5]
        return precisions, gains, np.log(self.weights) - np.linalg.slogdet(among)[1] / 2


def load_catalogue(path: Path) -> tuple[Array, Array]:
    """Reads a catalogue of real galaxies.

    Args:
        path: an .npz file with `mags` and `redshift`.

    Returns:
        Magnitudes float64 [N, 5] (u, g, r, i, z) and redshifts float64 [N].

    Raises:
        InvalidEvent: the file is not such a catalogue; the message says why.
    """
    try:
        with np.load(path, allow_pickle=False) as catalogue:
            magnitudes, redshifts = (catalogue[name].astype(np.float64) for name in ("mags", "redshift"))
    except (OSError, ValueError, KeyError) as error:
        raise InvalidEvent(f"{path} is not an .npz with mags and redshift: {error}") from error
    if magnitudes.ndim != 2 or magnitudes.shape != (len(redshifts), 5) or redshifts.ndim != 1:
        raise InvalidEvent(f"{path}: mags {magnitudes.shape} and redshift {redshifts.shape}; [N, 5] and [N] are needed")
    return magnitudes, redshifts


def render(magnitudes: Array, rng: np.random.Generator) -> Array:
    """Renders galaxies with `magnitudes` [N, 5] as images float32 [N, 5, 32, 32] in nanomaggies.

    Each is a Sersic profile, redder ones more concentrated and brighter ones larger, with the same shape in all bands,
    blurred by a Gaussian PSF, on a sky of Gaussian noise. Nothing in an image depends on the redshift.
    """
    chunks = [magnitudes[start : start + RENDER_CHUNK] for start in range(0, len(magnitudes), RENDER_CHUNK)]
    empty = np.empty((0, len(SKY_NOISE), SIDE, SIDE), np.float32)
    return np.concatenate([empty, *(_render_chunk(chunk.astype(np.float64), rng) for chunk in chunks)])


def _render_chunk(magnitudes: Array, rng: np.random.Generator) -> Array:
    count, colour = len(magnitudes), magnitudes[:, 1] - magnitudes[:, R]
    index = np.clip(1 + 3 * (colour - 0.4) / 0.6 + 0.4 * rng.standard_normal(count), 0.7, 4.5)
    radius = 10 ** (0.35 - 0.12 * (magnitudes[:, R] - 17) + 0.12 * rng.standard_normal(count))  # half-light, arcsec
    ratio, angle = rng.uniform(0.35, 1, count), rng.uniform(0, np.pi, count)
    centre = rng.uniform(-0.5, 0.5, (2, count, 1)) * PIXEL_SCALE
    step = PIXEL_SCALE / SUBPIXELS
    axis = (np.arange(SIDE * SUBPIXELS) - (SIDE * SUBPIXELS - 1) / 2) * step
    x, y = (axis - centre[0])[:, None, :], (axis - centre[1])[:, :, None]  # [N, 1, 96] and [N, 96, 1]
    cos, sin = np.cos(angle)[:, None, None], np.sin(angle)[:, None, None]
    along, across = x * cos + y * sin, (y * cos - x * sin) / ratio[:, None, None]
    # Softened within a third of a step: a steep profile's cusp would otherwise depend on where the grid falls.
    r = np.sqrt(along**2 + across**2 + (step / 3) ** 2) / radius[:, None, None]
    profile = _sersic(r, index[:, None, None])
    light = profile * (step**2 / _total_light(index, radius, ratio))[:, None, None]  # sums to at most 1
    shape = _BLUR @ light @ _BLUR.T  # [N, 32, 32]
    flux = 10 ** ((22.5 - magnitudes) / 2.5)  # [N, 5] nanomaggies
    noise = SKY_NOISE[:, None, None] * rng.standard_normal((count, 5, SIDE, SIDE))
    return (flux[:, :, None, None] * shape[:, None] + noise).astype(np.float32)


def _sersic(r: Array, index: Array) -> Array:
    """exp(-b r^(1/n)), b so that half the light is within r = 1 (Ciotti & Bertin 1999, eq. 18, to second order)."""
    b = 2 * index - 1 / 3 + 4 / (405 * index) + 46 / (25515 * index**2)
    light: Array = np.exp(-b * r ** (1 / index))
    return light


def _total_light(index: Array, radius: Array, ratio: Array) -> Array:
    """The integral of the profile over the sky, in arcsec^2, out to where the outermost light has faded."""
    r = np.geomspace(1e-4, 60, 400)
    total: Array = 2 * np.pi * ratio * radius**2 * np.trapezoid(_sersic(r, index[:, None]) * r, r, axis=1)
    return total


def _blur_matrix() -> Array:
    """[32, 96]: a fine row of light -> pixels, blurred by the PSF and summed over each pixel's sub-pixels."""
    fine = np.arange(SIDE * SUBPIXELS)
    sigma = SEEING_FWHM / PIXEL_SCALE * SUBPIXELS / np.sqrt(8 * np.log(2))
    psf = np.exp(-(((fine[:, None] - fine) / sigma) ** 2) / 2) / (sigma * np.sqrt(2 * np.pi))
    blur: Array = psf.reshape(SIDE, SUBPIXELS, -1).sum(axis=1)
    return blur


_BLUR = _blur_matrix()
