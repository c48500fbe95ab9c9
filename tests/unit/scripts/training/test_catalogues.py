from pathlib import Path

import numpy as np
import pytest

from lambda_image.errors import InvalidEvent
from scripts.training.catalogues import RealGalaxies, Split, among, hold_out, read_split, sky_split, without_shared


@pytest.mark.parametrize(("count", "held"), [(5000, 1000), (50, 10), (10, 10)])
def test_each_galaxy_is_fitted_or_held_out_and_always_the_same_ones_are(count: int, held: int) -> None:
    kept, aside = hold_out(count, held)
    assert len(aside) == held
    assert sorted([*kept, *aside]) == list(range(count))
    np.testing.assert_array_equal(hold_out(count, held)[1], aside)


def galaxies(redshifts: np.ndarray) -> RealGalaxies:
    magnitudes = np.random.default_rng(0).normal(17, 1, (len(redshifts), 5))
    return RealGalaxies(magnitudes, redshifts, np.full(magnitudes.shape, np.nan))


def test_neighbours_on_the_sky_are_on_one_side() -> None:
    rng = np.random.default_rng(0)
    ra, dec = rng.uniform(0, 360, 3000), np.degrees(np.arcsin(rng.uniform(-1, 1, 3000)))
    training, aside = sky_split(ra, dec)
    assert sorted([*training, *aside]) == list(range(3000))
    assert 0.15 < len(aside) / 3000 < 0.25
    cells = np.floor(ra / 10) * 1000 + np.floor((np.sin(np.radians(dec)) + 1) * 18)
    assert not set(cells[training]) & set(cells[aside])
    np.testing.assert_array_equal(sky_split(ra, dec)[1], aside)


def test_a_galaxy_that_another_catalogue_keeps_aside_is_not_trained_on() -> None:
    first, second = galaxies(np.linspace(0.1, 0.2, 20)), galaxies(np.linspace(0.5, 0.6, 20))
    twin = RealGalaxies(
        np.concatenate((second.magnitudes, first.magnitudes[:3] + 0.01)),
        np.concatenate((second.redshifts, first.redshifts[:3] + 1e-5)),
        np.concatenate((second.petrosian, first.petrosian[:3])),
    )
    assert among(twin, first).tolist() == [False] * 20 + [True] * 3
    splits = without_shared([Split(galaxies(np.full(5, 0.9)), first), Split(twin, galaxies(np.full(2, 0.8)))])
    assert [len(split.training) for split in splits] == [5, 20]
    assert len(splits[0].validation) == 20


def test_one_catalogue_shares_nothing() -> None:
    split = Split(galaxies(np.array([0.1])), galaxies(np.array([0.1])))
    assert len(without_shared([split])[0].training) == 1


def test_a_catalogue_without_places_is_split_by_rows(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    magnitudes, redshifts = rng.normal(17, 1, (1200, 5)), rng.uniform(0, 0.3, 1200)
    np.savez(tmp_path / "plain.npz", mags=magnitudes, redshift=redshifts)
    split = read_split(tmp_path / "plain.npz")
    assert (len(split.training), len(split.validation)) == (200, 1000)
    assert np.isnan(split.training.petrosian).all()
    np.savez(tmp_path / "places.npz", mags=magnitudes, redshift=redshifts, ra=rng.uniform(0, 360, 1200), dec=redshifts)
    assert len(read_split(tmp_path / "places.npz").training) > 600
    np.savez(tmp_path / "short.npz", mags=magnitudes, redshift=redshifts, ra=[1.0], dec=[2.0])
    with pytest.raises(InvalidEvent, match=r"short.npz: ra and dec must have one value for each of the 1,200"):
        read_split(tmp_path / "short.npz")
