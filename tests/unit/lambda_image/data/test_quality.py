import numpy as np
import pytest

from lambda_image.data.quality import (
    SKY_NOISE,
    UNPREDICTABLE,
    Quality,
    count_by_flag,
    judge_inputs,
    known_redshifts,
    quality,
)
from scripts.galaxies import Mixture, render

N = 400


@pytest.fixture(scope="module")
def galaxies() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    magnitudes, _ = Mixture.shipped().draw(N, rng)
    return render(magnitudes, rng), magnitudes


def test_sound_galaxies_have_no_flags(galaxies):
    assert not judge_inputs(*galaxies).any()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_pixel_that_is_not_finite_flags_its_row_alone(galaxies, value):
    images, magnitudes = galaxies[0].copy(), galaxies[1]
    images[7, 4, 31, 31] = value
    flags = judge_inputs(images, magnitudes)
    assert flags[7] == Quality.IMAGE_NOT_FINITE
    assert np.count_nonzero(flags) == 1


@pytest.mark.parametrize("value", [-9999, -999, -99, 1e20, 1.6e38, -1e30])
@pytest.mark.parametrize("extent", [np.s_[0, 0], np.s_[:, :]])
def test_what_stands_for_a_missing_pixel_is_implausible(galaxies, value, extent):
    images, magnitudes = galaxies[0].copy(), galaxies[1]
    images[(5, 2, *extent)] = value
    flags = judge_inputs(images, magnitudes)
    assert flags[5] == Quality.IMAGE_IMPLAUSIBLE
    assert np.count_nonzero(flags) == 1


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -9999, -999, 98, 100, 0, 1e30])
def test_a_missing_magnitude_is_flagged(galaxies, value):
    images, magnitudes = galaxies[0], galaxies[1].copy()
    magnitudes[3, 4] = value
    flags = judge_inputs(images, magnitudes)
    assert flags[3] == Quality.MAGNITUDE_BAD
    assert np.count_nonzero(flags) == 1


@pytest.mark.parametrize(
    ("value", "flag"),
    [
        *((value, Quality.NOT_DETECTED) for value in (99, 99.0, 99.99)),
        *((value, Quality.NOT_OBSERVED) for value in (-99, -99.9)),
    ],
)
def test_the_codes_of_the_field_for_missing_magnitudes_have_flags_of_their_own(galaxies, value, flag):
    images, magnitudes = galaxies[0], galaxies[1].copy()
    magnitudes[3, 4] = value
    flags = judge_inputs(images, magnitudes)
    assert flags[3] == Quality.MAGNITUDE_BAD | flag
    assert np.count_nonzero(flags) == 1


def test_a_galaxy_can_be_undetected_in_one_band_and_unobserved_in_another(galaxies):
    images, magnitudes = galaxies[0], galaxies[1].copy()
    magnitudes[3, :2] = 99, -99
    both = Quality.MAGNITUDE_BAD | Quality.NOT_DETECTED | Quality.NOT_OBSERVED
    assert judge_inputs(images, magnitudes)[3] == both
    assert both & UNPREDICTABLE == both


@pytest.mark.parametrize("factor", [0.0, 0.1, 0.2, 10.0])
def test_images_in_other_units_contradict_their_magnitudes(galaxies, factor):
    flags = judge_inputs(galaxies[0] * np.float32(factor), galaxies[1])
    assert np.mean(flags == Quality.FLUX_CONTRADICTS) > 0.95
    assert not (flags & UNPREDICTABLE).any()


@pytest.mark.parametrize("order", [[4, 3, 2, 1, 0], [4, 1, 2, 3, 0]])
def test_images_in_another_order_of_bands_contradict_their_magnitudes(galaxies, order):
    images, magnitudes = galaxies
    flags = judge_inputs(np.ascontiguousarray(images[:, order]), magnitudes)
    assert np.mean(flags == Quality.FLUX_CONTRADICTS) > 0.9


@pytest.mark.parametrize("band", range(1, 4))  # in u and z many are too faint to be compared
def test_magnitudes_that_are_shifted_in_one_band_contradict_their_images(galaxies, band):
    images, magnitudes = galaxies
    shifted = magnitudes.copy()
    shifted[:, band] += 1.5
    assert np.mean(judge_inputs(images, shifted) == Quality.FLUX_CONTRADICTS) > 0.9


@pytest.mark.parametrize("times", [3, 10])
def test_the_noise_of_another_survey_contradicts_nothing(galaxies, times):
    images, magnitudes = galaxies
    sky = (times * SKY_NOISE[:, None, None]).astype(np.float32)
    noisy = images + sky * np.random.default_rng(5).standard_normal(images.shape, np.float32)
    assert not judge_inputs(noisy, magnitudes).any()


def test_another_galaxys_image_contradicts_if_that_is_much_brighter_or_fainter(galaxies):
    images, magnitudes = galaxies
    order = np.argsort(magnitudes[:, 2])
    far = [order[0], order[-1]]
    assert (judge_inputs(images[far[::-1]], magnitudes[far]) == Quality.FLUX_CONTRADICTS).all()


def test_a_galaxy_with_another_band_is_judged_like_the_others(galaxies):
    images, magnitudes = galaxies
    six = np.concatenate((images, images[:, 2:3]), axis=1), np.concatenate((magnitudes, magnitudes[:, 2:3]), axis=1)
    assert not judge_inputs(*six).any()
    bright = magnitudes[:, 2] < 17  # where the promise is above the noise of the noisiest published band
    assert bright.any()
    flags = judge_inputs(six[0][bright] * np.float32(10), six[1][bright])
    assert np.mean(flags == Quality.FLUX_CONTRADICTS) > 0.95


@pytest.mark.parametrize("count", [0, 1, 4, 9])
def test_magnitudes_that_are_not_one_for_each_band_are_not_compared_with_the_image(galaxies, count):
    images, magnitudes = galaxies
    some = np.resize(magnitudes, (len(images), count))
    assert not judge_inputs(images * np.float32(0.1), some).any()
    if count:
        some[3, 0] = -9999
        assert judge_inputs(images, some).nonzero()[0].tolist() == [3]


def test_no_rows_are_no_rows():
    assert judge_inputs(np.empty((0, 5, 32, 32), np.float32), np.empty((0, 5), np.float32)).shape == (0,)


def test_python_gets_the_flags_of_a_run(galaxies):
    images, magnitudes = galaxies[0].astype(np.float64), galaxies[1].astype(np.float64)
    images[1, 0, 0, 0], images[4], magnitudes[2, 4] = 1e300, 10 * images[4], -9999
    redshifts = np.full(N, 0.1)
    redshifts[3] = -1
    expected = np.zeros(N, np.int32)
    expected[[1, 2, 4]] = Quality.IMAGE_NOT_FINITE, Quality.MAGNITUDE_BAD, Quality.FLUX_CONTRADICTS
    np.testing.assert_array_equal(quality(images, magnitudes), expected)
    expected[3] = Quality.REDSHIFT_UNKNOWN
    np.testing.assert_array_equal(quality(images.tolist(), magnitudes, redshifts), expected)


def test_python_hears_of_wrong_shapes(galaxies):
    with pytest.raises(ValueError, match="are needed"):
        quality(galaxies[0], galaxies[1][:, :4])
    with pytest.raises(ValueError, match=rf"redshifts have the shape \[{N}, 1\]; \[{N}\] is needed"):
        quality(*galaxies, np.zeros((N, 1)))


def test_placeholders_are_no_redshifts():
    given = np.array([0.0, 0.1, -0.001, 7.0, np.nan, -1, -9, -99, -9999, 99, 9999, np.inf], np.float32)
    np.testing.assert_array_equal(known_redshifts(given), [True] * 4 + [False] * 8)


def test_rows_are_counted_by_flag():
    counted = count_by_flag(np.array([0, 1, 1 | 8, 32], np.int32))
    assert counted == {
        "image_not_finite": 2,
        "image_implausible": 0,
        "magnitude_bad": 0,
        "redshift_unknown": 1,
        "prediction_not_finite": 0,
        "flux_contradicts": 1,
        "prediction_implausible": 0,
        "not_detected": 0,
        "not_observed": 0,
    }
