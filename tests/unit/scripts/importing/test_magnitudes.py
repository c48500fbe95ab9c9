from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lambda_image.data.file_content import Column
from lambda_image.errors import UsageError
from scripts.importing.contents import Contents
from scripts.importing.magnitudes import Photometry, PhotometryFlags
from scripts.importing.photometry import magnitudes_of

N = 12
NO_FLAGS = PhotometryFlags()


def contents(units: dict[str, str] | None = None, bands: tuple[str, ...] = (), **arrays: np.ndarray) -> Contents:
    columns = {
        name: Column(array.dtype.name, array.shape, lambda start, stop, array=array: array[start:stop])
        for name, array in arrays.items()
    }
    named = {name: bands for name, array in arrays.items() if bands and array.ndim == 2}
    return Contents("a.file", "test", columns, named, units or {})


def by_band(template: str, values: np.ndarray) -> dict[str, np.ndarray]:
    return {template.format(band): values[:, place] for place, band in enumerate("ugriz")}


def flux(magnitudes: np.ndarray, zero_point: float = 22.5) -> np.ndarray:
    return 10 ** ((zero_point - magnitudes.astype(np.float64)) / 2.5)


def test_magnitudes_in_a_column_for_each_band(sample):
    photometry = Photometry(contents(**by_band("dered_{}", sample.magnitudes)), NO_FLAGS, None)
    np.testing.assert_array_equal(photometry.read(2, 9), sample.magnitudes[2:9])
    assert photometry.read(2, 9).dtype == np.float32


def test_magnitudes_in_one_array_are_taken_by_the_names_of_bands(sample):
    shuffled = sample.magnitudes[:, ::-1]
    for found, flags, image_bands in (
        (contents(mags=shuffled, bands=tuple("zirgu")), NO_FLAGS, None),
        (contents(mags=shuffled), PhotometryFlags(bands=tuple("zirgu")), None),
        (contents(mags=shuffled), NO_FLAGS, tuple("zirgu")),
    ):
        np.testing.assert_array_equal(Photometry(found, flags, image_bands).read(0, N), sample.magnitudes)
    with pytest.raises(UsageError, match=r"does not name the bands of mags float32 \[12, 5\]: give them.*--bands"):
        Photometry(contents(mags=shuffled), NO_FLAGS, None)
    series = replace(contents(mags=shuffled), nameless={"mags": Path("second.fits")})
    with pytest.raises(UsageError, match=r"^second\.fits does not name the bands of mags"):
        Photometry(series, NO_FLAGS, None)
    for flags, image_bands in ((NO_FLAGS, tuple("ugrizy")), (PhotometryFlags(bands=tuple("ugri")), None)):
        with pytest.raises(UsageError, match=r"mags .* has 5 magnitudes of a galaxy, and the bands are [46] \(u, g"):
            Photometry(contents(mags=shuffled), flags, image_bands)
    with pytest.raises(UsageError, match=r"mags of a\.file lacks the band u; found: g, r, i, z, y"):
        Photometry(contents(mags=shuffled, bands=tuple("grizy")), NO_FLAGS, None)


@pytest.mark.parametrize(
    ("unit", "zero_point"), [("nanomaggy", 22.5), ("nJy", 31.40006), ("Jy", 8.90006), ("zeropoint=27", 27)]
)
def test_magnitudes_of_fluxes_in_a_unit(sample, unit, zero_point):
    fluxes = flux(sample.magnitudes, zero_point)
    told = Photometry(contents(**by_band("flux_{}", fluxes)), PhotometryFlags(unit=unit), None)
    np.testing.assert_allclose(told.read(0, N), sample.magnitudes, atol=1e-4)
    if "=" not in unit:  # a file can say it itself
        units = dict.fromkeys(by_band("flux_{}", fluxes), unit)
        found = Photometry(contents(units, **by_band("flux_{}", fluxes)), NO_FLAGS, None)
        np.testing.assert_allclose(found.read(0, N), sample.magnitudes, atol=1e-4)


def test_what_a_file_says_of_the_unit_counts_unless_a_flag_contradicts(sample):
    fluxes = flux(sample.magnitudes)
    units = dict.fromkeys(by_band("flux_{}", fluxes), "counts/s")
    with pytest.raises(
        UsageError, match=r"flux_\{band\} has the unit 'counts/s', which is not known: say with --flux-unit"
    ):
        Photometry(contents(units, **by_band("flux_{}", fluxes)), NO_FLAGS, None)
    for other, listed in (("uJy", "nJy, uJy"), (None, "nJy, nanomaggy")):  # which is what no unit means
        mixed = {name: unit for name in units if (unit := other if name == "flux_r" else "nJy")}
        with pytest.raises(UsageError, match=rf"flux_\{{band\}} has several units \({listed}\): bring it to one"):
            Photometry(contents(mixed, **by_band("flux_{}", fluxes)), NO_FLAGS, None)
    units = dict.fromkeys(units, "nJy")
    photometry = Photometry(contents(units, **by_band("flux_{}", fluxes)), PhotometryFlags(unit="nanomaggy"), None)
    told = "AB magnitudes from fluxes in nanomaggy by --flux-unit, though the file says nJy"
    assert photometry.notes[0] == told
    np.testing.assert_allclose(photometry.read(0, N), sample.magnitudes, atol=1e-4)
    assumed = Photometry(contents(**by_band("flux_{}", fluxes)), NO_FLAGS, None)
    assert "in nanomaggy, since the file gives no unit" in assumed.notes[0]


@pytest.mark.parametrize(
    ("flux_name", "ivar_name"),
    [("FLUX_{}", "FLUX_IVAR_{}"), ("modelFlux_{}", "modelFluxIvar_{}"), ("FLUX_{}", "FLUX_{}_IVAR")],
)
def test_a_flux_that_was_not_measured_is_told_from_one_that_is_too_faint(sample, flux_name, ivar_name):
    fluxes, ivar = flux(sample.magnitudes), np.ones((N, 5))
    fluxes[1, 2], fluxes[2, 3], ivar[2, 3], fluxes[3, 4], ivar[4, 0] = -0.1, 0, 0, np.nan, 0
    found = contents(**by_band(flux_name, fluxes), **by_band(ivar_name, ivar))
    read = Photometry(found, NO_FLAGS, None).read(0, N)
    assert read[1, 2] == 99  # looked for and not detected
    assert read[2, 3] == read[4, 0] == -99  # not observed
    assert np.isnan(read[3, 4])
    assert np.isfinite(read).sum() == N * 5 - 1


def test_asinh_magnitudes_are_made_and_turned_into_ab(sample):
    fluxes = flux(sample.magnitudes)
    fluxes[0, 0] = -0.05
    arrays = by_band("flux_{}", fluxes)
    asinh = Photometry(contents(**arrays), PhotometryFlags(system="asinh"), None).read(0, N)
    np.testing.assert_allclose(asinh, magnitudes_of(fluxes, "nanomaggy", "asinh"), atol=1e-5)
    given = contents(**by_band("mag_{}", asinh.astype(np.float64)))
    back = Photometry(given, PhotometryFlags(given_system="asinh"), None).read(0, N)
    assert back[0, 0] == 99
    np.testing.assert_allclose(back[1:], sample.magnitudes[1:], atol=1e-4)
    same = Photometry(given, PhotometryFlags(system="asinh"), None).read(0, N)
    np.testing.assert_array_equal(same, asinh)


def test_extinction_is_taken_off(sample):
    extinction = np.linspace(0.1, 0.5, N)[:, None] * np.array([1.0, 0.8, 0.6, 0.4, 0.3])
    magnitudes = sample.magnitudes + extinction
    magnitudes[5, 0] = 99
    flags = PhotometryFlags(magnitudes="mag_{band}", extinction="extinction_{band}")
    found = contents(**by_band("mag_{}", magnitudes), **by_band("extinction_{}", extinction))
    read = Photometry(found, flags, None).read(0, N)
    assert read[5, 0] == 99
    read[5, 0] = sample.magnitudes[5, 0]
    np.testing.assert_allclose(read, sample.magnitudes, atol=1e-5)
    fluxes = by_band("FLUX_{}", flux(sample.magnitudes + extinction))
    for flag, correction in (("extinction", extinction), ("transmission", 10 ** (-extinction / 2.5))):
        found = contents(**fluxes, **by_band("MW_{}", correction))
        photometry = Photometry(found, replace(PhotometryFlags(fluxes="flux_{band}"), **{flag: "mw_{band}"}), None)
        np.testing.assert_allclose(photometry.read(0, N), sample.magnitudes, atol=1e-5)
        assert set(photometry.used) == set(found.arrays)
    with pytest.raises(UsageError, match="--transmission divides fluxes"):
        Photometry(contents(mags=magnitudes), PhotometryFlags(transmission="t", bands=tuple("ugriz")), None)


@pytest.mark.parametrize("values", [flux(np.full((N, 5), 15.0)), np.full((N, 5), -12.0)])
def test_numbers_that_are_no_magnitudes_are_refused(values):
    with pytest.raises(UsageError, match=r"mag_\{band\} of a\.file holds no magnitudes, as their median is"):
        Photometry(contents(**by_band("mag_{}", values)), NO_FLAGS, None)


def test_codes_and_placeholders_are_no_reason_to_refuse(sample):
    magnitudes = sample.magnitudes.copy()
    magnitudes[: N // 2] = 99
    magnitudes[N // 2 :, 0] = -9999
    read = Photometry(contents(**by_band("mag_{}", magnitudes)), NO_FLAGS, None).read(0, N)
    np.testing.assert_array_equal(read, magnitudes)


def test_columns_in_a_unit_of_flux_are_no_magnitudes(sample):
    units = dict.fromkeys(by_band("mag_{}", sample.magnitudes), "nanomaggies")
    with pytest.raises(UsageError, match=r"mag_\{band\} has the unit nanomaggies: these are fluxes"):
        Photometry(contents(units, **by_band("mag_{}", sample.magnitudes)), NO_FLAGS, None)
