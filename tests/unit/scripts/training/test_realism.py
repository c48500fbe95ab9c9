"""How real made galaxies are. What takes a classifier of scikit-learn is in tests/integration."""

import numpy as np
import pytest

from lambda_image.data.distributions import uniform_distance
from scripts.galaxies import PIXEL_SCALE, Mixture, R, load_catalogue, made_galaxies
from scripts.training.catalogues import hold_out
from scripts.training.realism import probability_transform, sizes


def disc(radius: float, centre: tuple[float, float]) -> np.ndarray:
    """A uniform disc of `radius` pixels [1, 32, 32], from a finer grid."""
    axis = (np.arange(32 * 8) + 0.5) / 8 - 0.5
    inside = np.hypot(axis[:, None] - centre[0], axis - centre[1]) < radius
    return inside.reshape(32, 8, 32, 8).mean(axis=(1, 3))[None]


@pytest.mark.parametrize("centre", [(15.5, 15.5), (15.0, 16.3)])
def test_a_discs_size_and_concentration_are_those_of_geometry(centre: tuple[float, float]) -> None:
    found = sizes(disc(6.0, centre))
    assert found.half_light[0] == pytest.approx(6 * np.sqrt(0.5) * PIXEL_SCALE, rel=0.02)
    assert found.concentration[0] == pytest.approx(np.sqrt(0.9 / 0.5), rel=0.03)  # pixels blur its edge


def test_made_galaxies_are_as_large_and_as_concentrated_as_real_stamps() -> None:
    """../shared/data/README.md: 11 galaxies, r 17 to 18: median 2.55 arcsec (1.6 to 3.5) and 1.94 (1.65 to 2.6)."""
    images, magnitudes, _ = made_galaxies(600, np.random.default_rng(0))
    found = sizes(images[abs(magnitudes[:, R] - 17.5) < 0.5][:, R])
    assert np.median(found.half_light) == pytest.approx(2.55, abs=0.25)
    assert np.median(found.concentration) == pytest.approx(1.94, abs=0.15)
    assert np.quantile(found.half_light, (0.05, 0.95)) == pytest.approx([1.6, 3.5], abs=0.45)
    assert np.quantile(found.concentration, (0.05, 0.95)) == pytest.approx([1.65, 2.6], abs=0.35)


def test_galaxies_are_bluer_outside() -> None:
    images, _, _ = made_galaxies(400, np.random.default_rng(0))
    assert np.median(sizes(images[:, 1]).half_light) > 1.02 * np.median(sizes(images[:, 3]).half_light)


def test_pit_of_a_mixtures_own_draws_is_uniform_and_of_others_is_not() -> None:
    mixture = Mixture.shipped()
    magnitudes, redshifts = (values.astype(float) for values in mixture.draw(3000, np.random.default_rng(0)))
    assert uniform_distance(probability_transform(mixture, magnitudes, redshifts)) < 0.025
    assert uniform_distance(probability_transform(mixture, magnitudes, redshifts + 0.01)) > 0.1


def test_the_mixtures_distributions_are_right_for_galaxies_that_it_did_not_see(shared) -> None:
    magnitudes, redshifts, _ = load_catalogue(shared / "data" / "sdss_mgs_train_5k.npz")
    aside = hold_out(len(redshifts))[1]
    pit = probability_transform(Mixture.shipped(), magnitudes[aside], redshifts[aside])
    assert uniform_distance(pit) < 0.043  # what 95 % of samples of 1,000 keep below
    assert [np.mean(abs(pit - 0.5) < share / 2) for share in (0.68, 0.95)] == pytest.approx([0.68, 0.95], abs=0.03)
