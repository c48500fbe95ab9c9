"""Fits the mixture model behind `cosmicai sample` to real galaxies: python -m scripts.fit_mixture --help"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from scripts.galaxies import REDSHIFT, Array, Mixture, R, load_catalogue

# Component axes for the fit: r and the four colours spread evenly, five magnitudes are nearly one line.
COLOURS = np.array([[0, 0, 1, 0, 0], [1, -1, 0, 0, 0], [0, 1, -1, 0, 0], [0, 0, 1, -1, 0], [0, 0, 0, 1, -1]], float)
FLUX_LIMIT = 17.77  # r magnitude of the Main Galaxy Sample (Strauss et al. 2002)


def hold_out(count: int, held: int = 1000) -> tuple[Array, Array]:
    """Chooses the rows to fit and train on, and those kept aside for validation.

    They are always the same for a catalogue's size.
    """
    order = np.random.default_rng(1).permutation(count)
    return order[held:], order[:held]


def fit(magnitudes: Array, redshifts: Array, components: int, seed: int) -> Mixture:
    """Fits a mixture by expectation maximisation on r, colours and redshift, each scaled to unit variance."""
    from sklearn.mixture import GaussianMixture  # here: only this script needs it

    axes = np.zeros((6, 6))
    axes[:REDSHIFT, :REDSHIFT], axes[REDSHIFT, REDSHIFT] = COLOURS, 1
    galaxies = np.column_stack((magnitudes, redshifts))
    axes /= (galaxies @ axes.T).std(axis=0)[:, None]
    model = GaussianMixture(components, random_state=seed, reg_covar=1e-5, max_iter=1000, tol=1e-4)
    model.fit(galaxies @ axes.T)
    back = np.linalg.inv(axes)
    low, high = galaxies.min(axis=0), galaxies.max(axis=0)
    high[R] = min(high[R], FLUX_LIMIT)
    return Mixture(model.weights_, model.means_ @ back.T, back @ model.covariances_ @ back.T, low, high)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.fit_mixture", allow_abbrev=False, description=__doc__)
    parser.add_argument("catalogue", type=Path, help=".npz with mags [N, 5] (u, g, r, i, z) and redshift [N]")
    parser.add_argument("--components", type=int, default=84)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("galaxies.json"))
    args = parser.parse_args(arguments)
    magnitudes, redshifts = load_catalogue(args.catalogue)
    kept, held = hold_out(len(redshifts))
    mixture = fit(magnitudes[kept], redshifts[kept], args.components, args.seed)
    fields = ("weights", "means", "covariances", "low", "high")
    args.out.write_text(json.dumps({name: getattr(mixture, name).tolist() for name in fields}))
    draws, drawn = mixture.draw(50_000, np.random.default_rng(args.seed))
    for name, mags, truth in (
        ("its own draws", draws, drawn),
        ("held-out galaxies", magnitudes[held], redshifts[held]),
    ):
        error = mixture.expected_redshift(mags) - truth
        print(f"expected redshift of {name}: R2 {1 - (error**2).mean() / truth.var():.4f}, MAE {abs(error).mean():.5f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
