import numpy as np
import pytest

from lambda_image.data.quality import judge_inputs
from lambda_image.errors import InvalidEvent
from scripts.galaxies import (
    COLOURS,
    SKY_NOISE,
    Mixture,
    PetrosianMixture,
    load_catalogue,
    made_galaxies,
    render,
    render_light,
)


def two_clouds() -> Mixture:
    """Two well separated components whose redshift depends on u with slopes 0.1 and -0.2."""
    means = np.array([[18.0, 17, 16, 16, 16, 0.1], [14.0, 13, 12, 12, 12, 0.3]])
    covariance = np.diag([1.0, 1, 1, 1, 1, 0.01]) * 0.01
    covariances = np.stack([covariance, covariance])
    covariances[0, 0, 5] = covariances[0, 5, 0] = 0.1 * 0.01
    covariances[1, 0, 5] = covariances[1, 5, 0] = -0.2 * 0.01
    covariances[:, 5, 5] += 0.01 * 0.04
    return Mixture(np.array([0.75, 0.25]), means, covariances, np.full(6, -np.inf), np.full(6, np.inf))


def test_draws_follow_the_mixture():
    magnitudes, redshifts = two_clouds().draw(20_000, np.random.default_rng(0))
    first = magnitudes[:, 0] > 16
    assert first.mean() == pytest.approx(0.75, abs=0.02)
    assert magnitudes[first].mean(axis=0) == pytest.approx([18, 17, 16, 16, 16], abs=0.01)
    assert redshifts[~first].mean() == pytest.approx(0.3, abs=0.01)
    assert np.polyfit(magnitudes[first, 0], redshifts[first], 1)[0] == pytest.approx(0.1, abs=0.02)


def test_the_expected_redshift_is_the_line_of_each_component():
    magnitudes = np.array([[18.0, 17, 16, 16, 16], [18.2, 17, 16, 16, 16], [14.1, 13, 12, 12, 12]])
    assert two_clouds().expected_redshift(magnitudes) == pytest.approx([0.1, 0.12, 0.28])


def test_the_shipped_mixture_looks_like_the_survey(shared):
    mixture, rng = Mixture.shipped(), np.random.default_rng(0)
    magnitudes, redshifts = mixture.draw(5000, rng)
    assert magnitudes.dtype == redshifts.dtype == np.float32
    galaxies = np.column_stack((magnitudes, redshifts))
    assert (galaxies >= mixture.low - 1e-3).all()
    assert (galaxies <= mixture.high + 1e-3).all()
    real, real_redshifts, _ = load_catalogue(shared / "data" / "sdss_mgs_train_5k.npz")
    assert np.median(magnitudes, axis=0) == pytest.approx(np.median(real, axis=0), abs=0.05)
    assert np.percentile(redshifts, [5, 50, 95]) == pytest.approx(np.percentile(real_redshifts, [5, 50, 95]), rel=0.08)


def test_the_same_seed_gives_the_same_galaxies():
    once, again = (made_galaxies(9, rng) for rng in map(np.random.default_rng, (4, 4)))
    assert all(np.array_equal(a, b) for a, b in zip(once, again, strict=True))


def test_no_made_galaxy_is_flagged_and_only_those_are_drawn_anew():
    rng = np.random.default_rng(5)  # of whose first 64 draws one is flagged
    magnitudes, redshifts = Mixture.shipped().draw(64, rng)
    images = render(magnitudes, rng, PetrosianMixture.shipped().draw(magnitudes, redshifts, rng))
    flagged = judge_inputs(images, magnitudes) != 0
    assert flagged.sum() == 1
    made = made_galaxies(64, np.random.default_rng(5))
    assert not judge_inputs(made[0], made[1]).any()
    assert (made[1][~flagged] == magnitudes[~flagged]).all()
    assert (made[2][~flagged] == redshifts[~flagged]).all()
    assert (made[1][flagged] != magnitudes[flagged]).all()


def test_an_image_holds_the_light_of_its_magnitudes():
    magnitudes = np.tile([19.0, 18.0, 17.4, 17.1, 16.8], (64, 1))
    images = render(magnitudes, np.random.default_rng(0))
    assert images.shape == (64, 5, 32, 32)
    assert images.dtype == np.float32
    flux = 10 ** ((22.5 - magnitudes[0]) / 2.5)
    caught = images.sum(axis=(2, 3)) / flux
    assert (np.median(caught, axis=0) > 0.6).all()  # the rest is outside the stamp
    assert (np.median(caught, axis=0) < 1.01).all()
    peak = images[:, 2].reshape(64, -1).argmax(axis=1)
    rows, columns = np.divmod(peak, 32)
    # A wide flat one has its brightest pixel where the noise is highest.
    assert (np.hypot(rows - 15.5, columns - 15.5) <= 4).all()
    assert np.median(np.hypot(rows - 15.5, columns - 15.5)) < 1.5


def test_an_image_holds_the_light_of_known_petrosian_magnitudes() -> None:
    magnitudes = np.tile([19.0, 18.0, 17.4, 17.1, 16.8], (40, 1))
    petrosian = magnitudes + np.array([0.3, 0.2, 0.1, -0.1, -0.2])
    petrosian[:, 4] = np.nan
    plain, scaled = (render_light(magnitudes, np.random.default_rng(0), known) for known in (None, petrosian))
    change = -2.5 * np.log10(scaled.sum(axis=(2, 3)) / plain.sum(axis=(2, 3)))
    np.testing.assert_allclose(change, np.tile([0.3, 0.2, 0.1, -0.1, 0], (40, 1)), atol=1e-4)


def test_petrosian_draws_follow_their_mixture() -> None:
    mags, redshifts = two_clouds().draw(4000, np.random.default_rng(0))
    joint = np.zeros((1, 11, 11))
    joint[0] = np.eye(11) * 0.01
    joint[0, 5, 6] = joint[0, 6, 5] = 0.005  # the redshift with the difference in u
    means = np.array([[16.0] * 5 + [0.2, 0.1, 0, 0, 0, 0]])
    limits = np.full(5, 0.5)
    drawn = PetrosianMixture(np.ones(1), means, joint, -limits, limits).draw(mags, redshifts, np.random.default_rng(0))
    difference = drawn - mags
    np.testing.assert_allclose(difference[:, 0] - 0.1 - 0.5 * (redshifts - 0.2), 0, atol=0.5)
    assert np.polyfit(redshifts, difference[:, 0], 1)[0] == pytest.approx(0.5, abs=0.05)
    assert difference[:, 1].std() == pytest.approx(0.1, abs=0.01)


def test_drawn_petrosian_magnitudes_are_like_real_ones(shared) -> None:
    magnitudes, redshifts, petrosian = load_catalogue(shared / "data" / "sdss_model_petro.npz")
    drawn = PetrosianMixture.shipped().draw(magnitudes, redshifts, np.random.default_rng(0)) - magnitudes
    real = petrosian - magnitudes
    assert np.median(drawn, axis=0) == pytest.approx(np.median(real, axis=0), abs=0.02)
    assert drawn[:, 1:].std(axis=0) == pytest.approx(real[:, 1:].std(axis=0), rel=0.15)


def test_magnitudes_can_be_had_back_from_r_and_the_colours() -> None:
    assert np.linalg.matrix_rank(COLOURS) == 5
    magnitudes = np.array([20.0, 18.5, 17.9, 17.6, 17.4])
    np.testing.assert_allclose(COLOURS @ magnitudes, [17.9, 1.5, 0.6, 0.3, 0.2])
    np.testing.assert_allclose(np.linalg.solve(COLOURS, COLOURS @ magnitudes), magnitudes)


def test_the_sky_is_as_noisy_as_sdss():
    images = render(np.full((64, 5), 26.0), np.random.default_rng(0))
    assert images[:, :, :4].std(axis=(0, 2, 3)) == pytest.approx(SKY_NOISE, rel=0.05)


def test_no_galaxies():
    assert render(np.empty((0, 5)), np.random.default_rng(0)).shape == (0, 5, 32, 32)


def test_a_catalogue_that_is_none_is_refused(tmp_path):
    (tmp_path / "text.npz").write_text("no")
    np.savez(tmp_path / "names.npz", x=1)
    np.savez(tmp_path / "shapes.npz", mags=np.zeros((3, 4)), redshift=np.zeros(3))
    np.savez(tmp_path / "light.npz", mags=np.zeros((3, 5)), redshift=np.zeros(3), petro_mags=np.zeros((2, 5)))
    for name in ("absent", "text", "names", "shapes", "light"):
        with pytest.raises(InvalidEvent, match=name):
            load_catalogue(tmp_path / f"{name}.npz")
