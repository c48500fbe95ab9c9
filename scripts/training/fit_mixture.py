"""Fits the mixture models behind `cosmicai sample` to real galaxies: python -m scripts.training.fit_mixture --help"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from scripts.galaxies import COLOURS, REDSHIFT, Array, Mixture, PetrosianMixture, R
from scripts.training.catalogues import RealGalaxies, read_split, without_shared

FLUX_LIMIT = 17.77  # r magnitude of the Main Galaxy Sample (Strauss et al. 2002)
FLOOR = 3e-3  # of a component's variances, of axes of unit variance: narrower ones memorise galaxies


def fit(magnitudes: Array, redshifts: Array, components: int, seed: int) -> Mixture:
    """Fits a mixture by expectation maximisation on r, colours and redshift, each scaled to unit variance."""
    galaxies = np.column_stack((magnitudes, redshifts))
    weights, means, covariances = gaussians(galaxies, components, seed)
    low, high = galaxies.min(axis=0), galaxies.max(axis=0)
    high[R] = min(high[R], FLUX_LIMIT)
    return Mixture(weights, means, covariances, low, high)


def fit_petrosian(galaxies: RealGalaxies, components: int, seed: int) -> PetrosianMixture:
    """Fits the mixture of model and Petrosian magnitudes; the differences are cut where all but 1 in 500 lie."""
    difference = galaxies.petrosian - galaxies.magnitudes
    low, high = np.quantile(difference, (0.001, 0.999), axis=0)
    rows = np.column_stack((galaxies.magnitudes, galaxies.redshifts, np.clip(difference, low, high)))
    return PetrosianMixture(*gaussians(rows, components, seed), low, high)


def gaussians(rows: Array, components: int, seed: int) -> tuple[Array, Array, Array]:
    """Weights [K], means [K, D] and covariances [K, D, D] of `rows` [N, D], which begin with the five magnitudes."""
    from sklearn.mixture import GaussianMixture  # here: only this script needs it

    axes = np.eye(rows.shape[1])
    axes[:REDSHIFT, :REDSHIFT] = COLOURS
    axes /= (rows @ axes.T).std(axis=0)[:, None]
    model = GaussianMixture(components, random_state=seed, reg_covar=FLOOR, max_iter=1000, tol=1e-4)
    model.fit(rows @ axes.T)
    back = np.linalg.inv(axes)
    return model.weights_, model.means_ @ back.T, back @ model.covariances_ @ back.T


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.training.fit_mixture", allow_abbrev=False, description=__doc__
    )
    parser.add_argument("catalogue", type=Path, help=".npz with mags [N, 5] (u, g, r, i, z) and redshift [N]")
    parser.add_argument("--petrosian", type=Path, help=".npz that has petro_mags [N, 5], too, and ra and dec [N]")
    parser.add_argument("--components", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parents[1], help="folder for galaxies.json and petrosian.json"
    )
    args = parser.parse_args(arguments)
    splits = without_shared([read_split(path) for path in (args.catalogue, args.petrosian) if path])
    mixture = fit(splits[0].training.magnitudes, splits[0].training.redshifts, args.components, args.seed)
    write(mixture, args.out / "galaxies.json")
    if args.petrosian:
        write(fit_petrosian(splits[1].training, args.components, args.seed), args.out / "petrosian.json")
    draws, drawn = mixture.draw(50_000, np.random.default_rng(args.seed))
    aside = splits[0].validation
    for name, mags, truth in (
        ("its own draws", draws, drawn),
        ("held-out galaxies", aside.magnitudes, aside.redshifts),
    ):
        error = mixture.expected_redshift(mags) - truth
        print(f"expected redshift of {name}: R2 {1 - (error**2).mean() / truth.var():.4f}, MAE {abs(error).mean():.5f}")
    return 0


def write(mixture: Mixture | PetrosianMixture, path: Path) -> None:
    path.write_text(json.dumps({name: values.tolist() for name, values in asdict(mixture).items()}))


if __name__ == "__main__":
    raise SystemExit(main())
