"""Which real galaxies the weights learn from, and which are kept aside to judge them on."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lambda_image.errors import InvalidEvent
from scripts.galaxies import Array, load_catalogue

VALIDATION_SHARE = 5  # one in so many cells of the sky is kept aside
CELL_DEGREES = 10  # in right ascension; in declination a cell is 1/18 of its sine
SAME_REDSHIFT, SAME_MAGNITUDES = 6e-5, 0.03  # two rows that agree in both may be one galaxy of two catalogues


def hold_out(count: int, held: int = 1000) -> tuple[Array, Array]:
    """Chooses the rows to fit and train on, and those kept aside for validation.

    They are always the same for a catalogue's size.
    """
    order = np.random.default_rng(1).permutation(count)
    return order[held:], order[:held]


def sky_split(ra: Array, dec: Array) -> tuple[Array, Array]:
    """Chooses like `hold_out`, but whole cells of the sky: a fifth of those that hold galaxies, the same ones always.

    Args:
        ra: right ascension [N] in degrees.
        dec: declination [N] in degrees.

    Returns:
        The rows to train on, and those kept aside.
    """
    cells = np.floor(ra / CELL_DEGREES).astype(int) * 36 + np.floor((np.sin(np.radians(dec)) + 1) * 18).astype(int)
    there = np.unique(cells)
    aside = np.isin(cells, np.random.default_rng(1).permutation(there)[: len(there) // VALIDATION_SHARE])
    return np.flatnonzero(~aside), np.flatnonzero(aside)


@dataclass(frozen=True)
class RealGalaxies:
    """Real galaxies: magnitudes [N, 5], redshifts [N], Petrosian magnitudes [N, 5], which are NaN where unknown."""

    magnitudes: Array
    redshifts: Array
    petrosian: Array

    def __len__(self) -> int:
        return len(self.redshifts)

    def take(self, rows: Array) -> "RealGalaxies":
        return RealGalaxies(self.magnitudes[rows], self.redshifts[rows], self.petrosian[rows])


@dataclass(frozen=True)
class Split:
    """One catalogue's galaxies to train on, and those kept aside."""

    training: RealGalaxies
    validation: RealGalaxies


def read_split(path: Path) -> Split:
    """Reads a catalogue and keeps galaxies aside: by cells of the sky where it has `ra` and `dec`, else by `hold_out`.

    Raises:
        InvalidEvent: it is no such catalogue.
    """
    magnitudes, redshifts, petrosian = load_catalogue(path)
    with np.load(path, allow_pickle=False) as catalogue:
        sky = [catalogue[name].astype(float) for name in ("ra", "dec")] if {"ra", "dec"} <= set(catalogue) else None
    if sky and any(len(angles) != len(redshifts) for angles in sky):
        raise InvalidEvent(f"{path}: ra and dec must have one value for each of the {len(redshifts):,} galaxies")
    training, validation = sky_split(*sky) if sky else hold_out(len(redshifts))
    galaxies = RealGalaxies(magnitudes, redshifts, petrosian)
    return Split(galaxies.take(training), galaxies.take(validation))


def without_shared(splits: list[Split]) -> list[Split]:
    """Drops galaxies from the training that another catalogue keeps aside."""
    return [
        Split(
            split.training.take(
                ~np.any([among(split.training, o.validation) for o in splits if o is not split], axis=0)
            )
            if len(splits) > 1
            else split.training,
            split.validation,
        )
        for split in splits
    ]


def among(galaxies: RealGalaxies, others: RealGalaxies) -> Array:
    """Which galaxies may be one of `others`: they agree in redshift and in g, r and i."""
    order = np.argsort(others.redshifts)
    redshifts, magnitudes = others.redshifts[order], others.magnitudes[order, 1:4]
    first = np.searchsorted(redshifts, galaxies.redshifts - SAME_REDSHIFT)
    last = np.searchsorted(redshifts, galaxies.redshifts + SAME_REDSHIFT)
    return np.array(
        [
            bool((abs(magnitudes[low:high] - of[1:4]) < SAME_MAGNITUDES).all(axis=1).any())
            for low, high, of in zip(first, last, galaxies.magnitudes, strict=True)
        ],
        bool,
    )
