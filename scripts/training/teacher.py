"""What the network learns to answer: the redshifts that small networks, trees and mixtures expect of real galaxies.

Small networks use magnitudes better than a large network that sees single redshifts. Boosted trees and mixtures err
elsewhere, so that the mean of them all errs less than each does.
"""

from dataclasses import dataclass

import numpy as np

from scripts.galaxies import COLOURS, Array, Mixture
from scripts.training.catalogues import RealGalaxies
from scripts.training.ensemble import Ensemble, fit_ensemble
from scripts.training.fit_mixture import fit
from scripts.training.trees import Trees, fit_trees

TREES_SHARE = 1 / 3  # of what small networks and trees expect; the best of 1/3, 1/2 and 1 on galaxies of the training
SMOOTH_FITS, SMOOTH_COMPONENTS = 2, 30
CLIPPED = 0.5  # Petrosian less model magnitudes: beyond it they are neighbours and noise


@dataclass(frozen=True)
class Committee:
    """Small networks and boosted trees that saw the same galaxies. Trees count as much as is best for both."""

    networks: Ensemble
    trees: Trees

    @classmethod
    def fitted(cls, inputs: Array, redshifts: Array, members: int, seed: int) -> "Committee":
        return cls(fit_ensemble(inputs, redshifts, members=members, seed=seed), fit_trees(inputs, redshifts, seed=seed))

    def predict(self, inputs: Array) -> Array:
        """Redshifts [N] of inputs [N, F]."""
        return (1 - TREES_SHARE) * self.networks.predict(inputs) + TREES_SHARE * self.trees.predict(inputs)


@dataclass(frozen=True)
class Teacher:
    """What is expected of magnitudes, and of magnitudes and Petrosian magnitudes."""

    plain: list[Committee]  # on magnitudes: of the first catalogue, and of both
    mixtures: list[Mixture]
    model: Committee | None  # on magnitudes of galaxies with Petrosian ones
    petrosian: Committee | None  # on both magnitudes of the same galaxies

    @classmethod
    def fitted(cls, plain: RealGalaxies, petrosian: RealGalaxies | None, seed: int) -> "Teacher":
        mixtures = [
            fit(plain.magnitudes, plain.redshifts, SMOOTH_COMPONENTS, seed + index) for index in range(SMOOTH_FITS)
        ]
        committees = [Committee.fitted(plain.magnitudes @ COLOURS.T, plain.redshifts, 5, seed)]
        if petrosian is None:
            return cls(committees, mixtures, None, None)
        magnitudes = np.concatenate((plain.magnitudes, petrosian.magnitudes)) @ COLOURS.T
        redshifts = np.concatenate((plain.redshifts, petrosian.redshifts))
        committees.append(Committee.fitted(magnitudes, redshifts, 5, seed))
        profiles = profile_inputs(petrosian.magnitudes, petrosian.petrosian)
        return cls(
            committees,
            mixtures,
            Committee.fitted(petrosian.magnitudes @ COLOURS.T, petrosian.redshifts, 5, seed),
            Committee.fitted(profiles, petrosian.redshifts, 10, seed),
        )

    def of_magnitudes(self, magnitudes: Array) -> Array:
        """Expected redshifts [N] of galaxies like those of the first catalogue, of magnitudes [N, 5]."""
        learnt = [committee.predict(magnitudes @ COLOURS.T) for committee in self.plain]
        smooth = np.mean([mixture.expected_redshift(magnitudes) for mixture in self.mixtures], axis=0)
        expected: Array = np.mean([*learnt, smooth], axis=0)
        return expected

    def of_profiles(self, magnitudes: Array, petrosian: Array) -> Array:
        """Expected redshifts [N] of galaxies like those of the second catalogue."""
        assert self.petrosian
        return self.petrosian.predict(profile_inputs(magnitudes, petrosian))

    def profile_change(self, magnitudes: Array, petrosian: Array) -> Array:
        """By how much Petrosian magnitudes change the expected redshifts [N]."""
        assert self.model
        return self.of_profiles(magnitudes, petrosian) - self.model.predict(magnitudes @ COLOURS.T)


def profile_inputs(magnitudes: Array, petrosian: Array) -> Array:
    """Inputs [N, 9] of a network: r, four colours, and Petrosian less model magnitudes in g, r, i and z.

    Those in u are noise, which cost R2 on galaxies that were kept aside.
    """
    return np.column_stack((magnitudes @ COLOURS.T, np.clip(petrosian - magnitudes, -CLIPPED, CLIPPED)[:, 1:]))
