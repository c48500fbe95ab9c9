import numpy as np
import pytest
from astropy import units as u

from lambda_image.errors import UsageError
from scripts.importing.photometry import (
    SOFTENING,
    UNITS,
    converted,
    magnitudes_of,
    nanomaggies_per,
    not_observed,
    spelled,
    zero_point,
)

ASTROPY = {"nJy": u.nJy, "uJy": u.uJy, "mJy": u.mJy, "Jy": u.Jy}


@pytest.mark.parametrize("unit", ASTROPY)
def test_ab_magnitudes_are_those_of_astropy(unit):
    # astropy's zero of AB is 3630.78 Jy (10 ** (48.6 / -2.5) in cgs), which is 0.00006 mag from 3631 Jy.
    assert zero_point(unit) == pytest.approx((1 * ASTROPY[unit]).to(u.ABmag).value, abs=1e-4)


def test_nanomaggies_and_zero_points():
    assert zero_point("nanomaggy") == 22.5
    assert zero_point("maggy") == 0
    assert zero_point("zeropoint=27") == 27
    assert zero_point("zeropoint=25.5") == 25.5
    assert nanomaggies_per("nanomaggy") == 1
    assert nanomaggies_per("maggy") == pytest.approx(1e9)
    assert nanomaggies_per("nJy") == pytest.approx(1 / 3631)
    assert nanomaggies_per("zeropoint=27") == pytest.approx(10**-1.8)
    for unit in ("parsec", "zeropoint=", "zeropoint=x", "", "MJy"):
        with pytest.raises(UsageError, match="allowed: nanomaggy"):
            zero_point(unit)


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        *(("nanomaggy", "nanomaggy"), ("nanomaggies", "nanomaggy"), ("nmgy", "nanomaggy"), ("nMgy/pix", "nanomaggy")),
        *(
            ("nJy", "nJy"),
            ("njy", "nJy"),
            ("uJy", "uJy"),
            ("µJy", "uJy"),
            ("mJy", "mJy"),
            ("Jy", "Jy"),
            ("Jy / pixel", "Jy"),
        ),
        *(("MJy/sr", None), ("MJy", None), ("adu", None), ("mag", None), ("Jy/beam", None), ("electron/s", None)),
    ],
)
def test_units_as_files_spell_them(text, unit):
    assert spelled(text) == unit
    assert unit is None or unit in UNITS


def test_ab_magnitudes_of_fluxes():
    fluxes = np.array([[1, 10, 0, -3, np.nan]], np.float64)
    magnitudes = magnitudes_of(fluxes, "nanomaggy", "AB")[0]
    assert magnitudes[:2] == pytest.approx([22.5, 20])
    assert magnitudes[2:4].tolist() == [99, 99]  # not detected
    assert np.isnan(magnitudes[4])


def test_asinh_magnitudes_are_those_of_the_published_table():
    """Stoughton et al. 2002, table 21: the magnitude of no flux, and of ten times the softening."""
    assert magnitudes_of(np.zeros((1, 5)), "maggy", "asinh")[0] == pytest.approx(
        [24.63, 25.11, 24.80, 24.36, 22.83], abs=0.006
    )
    assert magnitudes_of(10 * np.array([list(SOFTENING.values())]), "maggy", "asinh")[0] == pytest.approx(
        [22.12, 22.60, 22.29, 21.85, 20.32], abs=0.006
    )


def test_bright_galaxies_have_the_same_magnitudes_in_both_systems():
    fluxes = np.full((1, 5), 100.0)
    assert magnitudes_of(fluxes, "nanomaggy", "AB") == pytest.approx(
        magnitudes_of(fluxes, "nanomaggy", "asinh"), abs=1e-3
    )


@pytest.mark.parametrize("fluxes", [np.full((1, 5), 0.05), np.full((1, 5), 3.0), np.array([[0.2, 1, 5, 20, 80]])])
def test_systems_are_converted_into_each_other(fluxes):
    ab, asinh = (magnitudes_of(fluxes, "nanomaggy", system) for system in ("AB", "asinh"))
    np.testing.assert_allclose(converted(asinh, "asinh", "AB"), ab, rtol=1e-9)
    np.testing.assert_allclose(converted(ab, "AB", "asinh"), asinh, rtol=1e-9)
    assert converted(ab, "AB", "AB") is ab


def test_codes_and_placeholders_are_not_converted():
    given = np.array([[99, -99, -9999, 1e20, np.nan]])
    for systems in (("AB", "asinh"), ("asinh", "AB")):
        np.testing.assert_array_equal(converted(given, *systems), given)


def test_an_asinh_magnitude_of_a_flux_below_zero_is_not_detected_in_ab():
    below = magnitudes_of(np.full((1, 5), -0.1), "nanomaggy", "asinh")
    assert (converted(below, "asinh", "AB") == 99).all()


def test_what_was_not_observed_has_a_code_of_its_own():
    assert not_observed(np.array([18.0, 19.0]), np.array([False, True])).tolist() == [18, -99]
