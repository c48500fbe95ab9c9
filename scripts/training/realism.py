"""Measures how real the galaxies of `cosmicai sample` are: python -m scripts.training.realism --help

Real galaxies are those that the mixtures did not see. A classifier that cannot tell made galaxies from them has an AUC
of 0.5.
"""

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lambda_image.data.distributions import uniform_distance
from scripts.galaxies import (
    COLOURS,
    PIXEL_SCALE,
    REDSHIFT,
    Array,
    Mixture,
    PetrosianMixture,
    R,
    conditionals,
    render,
)
from scripts.training.catalogues import read_split, without_shared

APERTURE = 16.0  # pixels: the radius within which stamps were measured
STEP = 0.25  # pixels, of the curve of growth
SUBPIXELS = 3  # light of a pixel that the aperture's edge cuts
CORE = 8  # pixels: the half-width of the square whose light tells the centre


@dataclass(frozen=True)
class LightProfiles:
    """What a galaxy's image in one band measures."""

    half_light: Array  # [N], arcsec: the radius of half the light within APERTURE
    concentration: Array  # [N], R90 / R50


def sizes(images: Array) -> LightProfiles:
    """Measures images [N, S, S] of one band by their curves of growth about the light's centre."""
    count, side = len(images), images.shape[1]
    pixels = np.arange(side)
    near = abs(pixels - (side - 1) / 2) < CORE
    core = np.where(near[:, None] & near, images, 0.0)
    light = core.sum(axis=(1, 2))
    y, x = ((core * axis).sum(axis=(1, 2)) / light for axis in (pixels[:, None], pixels))
    fine = (np.arange(side * SUBPIXELS) + 0.5) / SUBPIXELS - 0.5
    distance = np.hypot(fine[:, None] - y[:, None, None], fine - x[:, None, None])
    rings = round(APERTURE / STEP)
    ring = np.minimum(np.ceil(distance / STEP).astype(int), rings + 1) + (rings + 2) * np.arange(count)[:, None, None]
    spread = images.repeat(SUBPIXELS, axis=1).repeat(SUBPIXELS, axis=2)
    growth = np.bincount(ring.ravel(), spread.ravel().astype(float), (rings + 2) * count).reshape(count, -1)
    growth = growth[:, : rings + 1].cumsum(axis=1)

    def radius(share: float) -> Array:
        """The first radius [N], in pixels, that holds `share` of the light, between two rings by a straight line."""
        wanted = share * growth[:, -1]
        outer = np.argmax(growth >= wanted[:, None], axis=1).clip(1)
        low, high = growth[np.arange(count), outer - 1], growth[np.arange(count), outer]
        found: Array = STEP * (outer - 1 + (wanted - low) / (high - low))
        return found

    half = radius(0.5)
    return LightProfiles(half * PIXEL_SCALE, radius(0.9) / half)


def separability(made: Array, real: Array) -> float:
    """Measures the AUC [0.5 where made and real galaxies are alike] of a classifier on features [N, F] and [M, F].

    It is gradient boosting, which learns on four fifths and is measured on the last, each fifth in turn.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier  # here: its import takes seconds
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import cross_val_predict

    count = min(len(made), len(real))
    features = np.concatenate((made[:count], real[:count]))
    kind = np.repeat([0, 1], count)
    order = np.random.default_rng(0).permutation(2 * count)
    model = HistGradientBoostingClassifier(max_iter=60, max_leaf_nodes=8, learning_rate=0.05, random_state=0)
    chance = cross_val_predict(model, features[order], kind[order], cv=5, method="predict_proba")[:, 1]
    return float(roc_auc_score(kind[order], chance))


def normal_share(scores: Array) -> Array:
    """The share of a normal distribution below `scores`."""
    share: Array = (1 + np.vectorize(math.erf, otypes=[float])(scores / math.sqrt(2))) / 2
    return share


def probability_transform(mixture: Mixture, magnitudes: Array, redshifts: Array) -> Array:
    """PIT [N]: the mixture's probability, given `magnitudes` [N, 5], of a redshift below the true one."""
    precisions, gains, log_scale = conditionals(mixture.weights, mixture.covariances, REDSHIFT)
    offset = magnitudes[:, None, :] - mixture.means[:, :REDSHIFT]
    chance = log_scale - np.einsum("nki,kij,nkj->nk", offset, precisions, offset, optimize=True) / 2
    chance = np.exp(chance - chance.max(axis=1, keepdims=True))
    middle = mixture.means[:, REDSHIFT] + np.einsum("nki,ki->nk", offset, gains[:, 0])
    among = mixture.covariances[:, :REDSHIFT, REDSHIFT]
    spread = np.sqrt(mixture.covariances[:, REDSHIFT, REDSHIFT] - (gains[:, 0] * among).sum(axis=1))

    def below(limit: Array | float) -> Array:
        total: Array = (chance * normal_share((np.reshape(limit, (-1, 1)) - middle) / spread)).sum(axis=1)
        return total

    low, high = below(mixture.low[REDSHIFT]), below(mixture.high[REDSHIFT])  # the mixture is cut there
    transform: Array = np.clip((below(redshifts) - low) / (high - low), 0, 1)
    return transform


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.training.realism", allow_abbrev=False, description=__doc__)
    parser.add_argument("catalogue", type=Path, help=".npz with mags [N, 5] (u, g, r, i, z) and redshift [N]")
    parser.add_argument("--petrosian", type=Path, help=".npz that has petro_mags [N, 5], too, and ra and dec [N]")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)
    rng = np.random.default_rng(args.seed)
    splits = without_shared([read_split(path) for path in (args.catalogue, args.petrosian) if path])
    mixture, aside = Mixture.shipped(), splits[0].validation
    error = mixture.expected_redshift(aside.magnitudes) - aside.redshifts
    r2 = 1 - (error**2).mean() / aside.redshifts.var()
    print(f"{len(aside):,} galaxies kept aside: E[z | magnitudes] has R2 {r2:.4f}")
    pit = probability_transform(mixture, aside.magnitudes, aside.redshifts)
    inside = [np.mean(abs(pit - 0.5) < share / 2) for share in (0.68, 0.95)]
    print(
        f"p(z | magnitudes): PIT off by {uniform_distance(pit):.3f}, {inside[0]:.1%} in 68 %, {inside[1]:.1%} in 95 %"
    )
    magnitudes, redshifts = mixture.draw(len(aside), rng)
    print(
        f"made or real, AUC: magnitudes {separability(magnitudes @ COLOURS.T, aside.magnitudes @ COLOURS.T):.3f}",
        end="",
    )
    with_redshift = (
        np.column_stack((m @ COLOURS.T, z)) for m, z in ((magnitudes, redshifts), (aside.magnitudes, aside.redshifts))
    )
    print(f", magnitudes and redshift {separability(*with_redshift):.3f}")
    magnitudes, redshifts = mixture.draw(2000, rng)
    made = (magnitudes, PetrosianMixture.shipped().draw(magnitudes, redshifts, rng))
    show_sizes("made", *made, rng)
    if args.petrosian:
        aside = splits[1].validation
        show_sizes("real", aside.magnitudes, aside.petrosian, rng)
        drawn = PetrosianMixture.shipped().draw(aside.magnitudes, aside.redshifts, rng)
        inputs = [
            np.column_stack((aside.magnitudes @ COLOURS.T, light - aside.magnitudes))
            for light in (drawn, aside.petrosian)
        ]
        print(f"Petrosian magnitudes drawn for real galaxies or real, AUC: {separability(*inputs):.3f}", end="")
        # Of the same galaxies, since two catalogues differ in what they hold.
        profiles = (sizes(render(aside.magnitudes, rng, light)[:, R]) for light in (drawn, aside.petrosian))
        features = [np.column_stack((found.half_light, found.concentration)) for found in profiles]
        print(f", sizes and concentrations {separability(*features):.3f}")
    return 0


def show_sizes(name: str, magnitudes: Array, petrosian: Array, rng: np.random.Generator) -> None:
    near = abs(magnitudes[:, R] - 17.5) < 0.25
    found = sizes(render(magnitudes[near], rng, petrosian[near])[:, R])
    spans = [np.quantile(values, (0.05, 0.5, 0.95)) for values in (found.half_light, found.concentration)]
    print(
        f"{name} galaxies of r = 17.25 to 17.75, rendered: half-light radius {spans[0][1]:.2f} arcsec "
        f"({spans[0][0]:.2f} to {spans[0][2]:.2f}), R90/R50 {spans[1][1]:.2f} ({spans[1][0]:.2f} to {spans[1][2]:.2f})"
    )


if __name__ == "__main__":
    raise SystemExit(main())
