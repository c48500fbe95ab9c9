import numpy as np
import pytest

from lambda_image.errors import InvalidEvent
from scripts.galaxies import SKY_NOISE, Mixture, load_catalogue, render


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
    real, real_redshifts = load_catalogue(shared / "data" / "sdss_mgs_train_5k.npz")
    assert np.median(magnitudes, axis=0) == pytest.approx(np.median(real, axis=0), abs=0.05)
    assert np.percentile(redshifts, [5, 50, 95]) == pytest.approx(np.percentile(real_redshifts, [5, 50, 95]), rel=0.08)


def test_the_same_seed_gives_the_same_galaxies():
    once, again = (
        [*Mixture.shipped().draw(9, rng), render(np.full((3, 5), 17.0), rng)]
        for rng in map(np.random.default_rng, (4, 4))
    )
    assert all(np.array_equal(a, b) for a, b in zip(once, again, strict=True))


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
    assert ((abs(rows - 15.5) <= 2) & (abs(columns - 15.5) <= 2)).all()


def test_the_sky_is_as_noisy_as_sdss():
    images = render(np.full((64, 5), 26.0), np.random.default_rng(0))
    assert images[:, :, :4].std(axis=(0, 2, 3)) == pytest.approx(SKY_NOISE, rel=0.05)


def test_no_galaxies():
    assert render(np.empty((0, 5)), np.random.default_rng(0)).shape == (0, 5, 32, 32)


def test_a_catalogue_that_is_none_is_refused(tmp_path):
    (tmp_path / "text.npz").write_text("no")
    np.savez(tmp_path / "names.npz", x=1)
    np.savez(tmp_path / "shapes.npz", mags=np.zeros((3, 4)), redshift=np.zeros(3))
    for name in ("absent", "text", "names", "shapes"):
        with pytest.raises(InvalidEvent, match=name):
            load_catalogue(tmp_path / f"{name}.npz")
