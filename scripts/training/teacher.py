"""What the network learns to answer: the redshifts that small networks and mixtures expect of real galaxies.

Small networks use magnitudes better than a large network that sees single redshifts, and mixtures err elsewhere.
"""

from dataclasses import dataclass

import numpy as np

from scripts.fit_mixture import fit
from scripts.galaxies import COLOURS, Array, Mixture
from scripts.training.catalogues import RealGalaxies
from scripts.training.ensemble import Ensemble, fit_ensemble

SMOOTH_FITS, SMOOTH_COMPONENTS = 2, 30
CLIPPED = 0.5  # Petrosian less model magnitudes: beyond it they are neighbours and noise


@dataclass(frozen=True)
class Teacher:
    """What is expected of magnitudes, and of magnitudes and Petrosian magnitudes."""

    plain: list[Ensemble]  # on magnitudes: of the first catalogue, and of both
    mixtures: list[Mixture]
    model: Ensemble | None  # on magnitudes of galaxies with Petrosian ones
    petrosian: Ensemble | None  # on both magnitudes of the same galaxies

    @classmethod
    def fitted(cls, plain: RealGalaxies, petrosian: RealGalaxies | None, seed: int) -> "Teacher":
        mixtures = [
            fit(plain.magnitudes, plain.redshifts, SMOOTH_COMPONENTS, seed + index) for index in range(SMOOTH_FITS)
        ]
        ensembles = [fit_ensemble(plain.magnitudes @ COLOURS.T, plain.redshifts, seed=seed)]
        if petrosian is None:
            return cls(ensembles, mixtures, None, None)
        magnitudes = np.concatenate((plain.magnitudes, petrosian.magnitudes)) @ COLOURS.T
        redshifts = np.concatenate((plain.redshifts, petrosian.redshifts))
        ensembles.append(fit_ensemble(magnitudes, redshifts, seed=seed))
        return cls(
            ensembles,
            mixtures,
            fit_ensemble(petrosian.magnitudes @ COLOURS.T, petrosian.redshifts, seed=seed),
            fit_ensemble(
                profile_inputs(petrosian.magnitudes, petrosian.petrosian), petrosian.redshifts, members=10, seed=seed
            ),
        )

    def of_magnitudes(self, magnitudes: Array) -> Array:
        """Expected redshifts [N] of galaxies like those of the first catalogue, of magnitudes [N, 5]."""
        ensembles = [ensemble.predict(magnitudes @ COLOURS.T) for ensemble in self.plain]
        smooth = np.mean([mixture.expected_redshift(magnitudes) for mixture in self.mixtures], axis=0)
        expected: Array = np.mean([*ensembles, smooth], axis=0)
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
