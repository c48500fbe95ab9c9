import re

import pytest

from lambda_image.errors import UsageError
from scripts.importing.choosing import (
    bands_beside,
    beside,
    choose_images,
    choose_photometry,
    choose_redshifts,
    find,
)
from tests.unit.scripts.importing.arrays import contents


def by_band(template: str, bands: str = "ugriz", what: str = "float32 4") -> dict[str, str]:
    return {template.format(band): what for band in bands}


CUBE, COLUMN = "float32 4 5 32 32", "float32 4"


@pytest.mark.parametrize(
    ("arrays", "chosen"),
    [
        ({"x": CUBE}, "x"),
        ({"x": CUBE, "x_ivar": CUBE, "x_mask": "bool 4 5 32 32", "psf": CUBE}, "x"),
        ({"image_array": CUBE, "image_model": CUBE, "image_ivar": CUBE}, "image_array"),
        ({"images": CUBE, "other": CUBE}, "images"),
        ({"image__flux": CUBE, "image__ivar": CUBE, "image__mask": "bool 4 5 32 32"}, "image.flux"),
        (by_band("stamp_{}", what="float32 4 32 32"), "stamp_{band}"),
        (by_band("{}", "UGRIZ", "float32 4 32 32"), "{band}"),
    ],
)
def test_images_are_guessed_by_shape_and_name(arrays, chosen):
    choice = choose_images(contents(**arrays), None)
    assert (choice.label, choice.guessed) == (chosen, True)
    assert len(choice.names) == (5 if "{band}" in chosen else 1)


def test_images_that_could_be_several_arrays_are_refused_with_shapes():
    with pytest.raises(UsageError, match=r"could be left float32 \[4, 5, 32, 32\], right float32 \[4, 5, 32, 32\]"):
        choose_images(contents(left=CUBE, right=CUBE), None)
    with pytest.raises(UsageError, match=r"no array that is clearly the images.*found: objid int64 \[4\]"):
        choose_images(contents(objid="int64 4"), None)
    with pytest.raises(
        UsageError, match=r"stamp_\{band\} is not there for all bands.*found: stamp_g, stamp_r, stamp_z"
    ):
        choose_images(contents(**by_band("stamp_{}", "grz", "float32 4 32 32")), None)


def test_a_flag_names_images_whatever_else_there_is():
    found = contents(left=CUBE, RIGHT=CUBE, flat="float32 4 5")
    assert choose_images(found, "right").names == ("RIGHT",)
    with pytest.raises(UsageError, match=r"--images middle: a\.file has no such array; found: left float32 \[4, 5, 32"):
        choose_images(found, "middle")
    with pytest.raises(
        UsageError, match=r"--images flat: numbers \[N, bands, rows, columns\] are needed, and it is flat"
    ):
        choose_images(found, "flat")


@pytest.mark.parametrize(
    ("arrays", "chosen", "is_flux"),
    [
        (by_band("dered_{}"), "dered_{band}", False),
        ({**by_band("dered_{}"), **by_band("extinction_{}"), **by_band("err_{}")}, "dered_{band}", False),
        ({**by_band("FLUX_{}", "UGRIZ"), **by_band("FLUX_IVAR_{}", "UGRIZ"), "EBV": COLUMN}, "FLUX_{band}", True),
        ({**by_band("flux_{}"), **by_band("{}mag"), **by_band("e_{}mag")}, "{band}mag", False),
        ({"mags": "float64 4 5", "mags_err": "float64 4 5"}, "mags", False),
        ({"flux": "float64 4 5"}, "flux", True),
        (by_band("{}"), "{band}", False),
        ({**by_band("mag_{}"), **by_band("mag_auto_{}", "gr")}, "mag_{band}", False),
        ({f"cat__mag_{band}": COLUMN for band in "ugriz"}, "cat.mag_{band}", False),
    ],
)
def test_photometry_is_guessed_by_name(arrays, chosen, is_flux):
    choice, found_flux = choose_photometry(contents(**arrays), None, None)
    assert (choice.label, found_flux) == (chosen, is_flux)


def test_photometry_that_could_be_several_columns_is_refused_by_name():
    both = contents(**by_band("modelMag_{}"), **by_band("petroMag_{}"), mags="float32 4 5")
    message = r"could be mags float32 \[4, 5\], modelMag_\{band\}, petroMag_\{band\}: name them with --magnitudes"
    with pytest.raises(UsageError, match=message):
        choose_photometry(both, None, None)
    assert choose_photometry(both, "PetroMag_{band}", None)[0].names[0] == "petroMag_u"
    with pytest.raises(UsageError, match="both given"):
        choose_photometry(both, "mags", "mags")
    with pytest.raises(UsageError, match=r"is not there for all bands.*found: FLUX_G, FLUX_R, FLUX_Z$"):
        choose_photometry(contents(**by_band("FLUX_{}", "GRZ")), None, None)
    with pytest.raises(UsageError, match=r"as numbers; found: mag_u, mag_g, mag_i, mag_z, Mag_r text \[4\]$"):
        choose_photometry(contents(**by_band("mag_{}", "ugiz"), Mag_r="text 4"), None, None)
    with pytest.raises(UsageError, match=r"no magnitudes or fluxes that can be told.*found: ra float32 \[4\]"):
        choose_photometry(contents(ra=COLUMN), None, None)


def test_redshifts_are_guessed_and_never_the_magnitude_in_z():
    assert choose_redshifts(contents(z_spec=COLUMN, zerr=COLUMN), None, ()).names == ("z_spec",)
    assert choose_redshifts(contents(z=COLUMN), None, ()).names == ("z",)
    assert choose_redshifts(contents(u=COLUMN, z=COLUMN), None, ("u", "z")) is None
    assert choose_redshifts(contents(redshift=COLUMN, z=COLUMN), None, ()).names == ("redshift",)
    assert choose_redshifts(contents(redshifts="float32 4 1"), None, ()).names == ("redshifts",)
    assert choose_redshifts(contents(z_phot=COLUMN, photo_z=COLUMN), None, ()) is None
    with pytest.raises(UsageError, match=r"could be z_spec float32 \[4\], zbest float32 \[4\]: name them"):
        choose_redshifts(contents(z_spec=COLUMN, zbest=COLUMN), None, ())
    assert choose_redshifts(contents(z_spec=COLUMN, zbest=COLUMN), "none", ()) is None
    assert choose_redshifts(contents(z_spec=COLUMN, zbest=COLUMN), "ZBEST", ()).names == ("zbest",)
    with pytest.raises(UsageError, match=r"--redshifts name: numbers \[N\] are needed, and it is name text \[4\]"):
        choose_redshifts(contents(name="text 4"), "name", ())


def test_a_name_is_found_without_case_and_table_unless_it_is_not_the_only_one():
    found = contents(photo__OBJID="int64 4", spec__OBJID="int64 4", spec__Z=COLUMN)
    assert find(found, "z", "--redshifts") == "spec.Z"
    with pytest.raises(UsageError, match=re.escape("--id objid could be photo.OBJID int64 [4], spec.OBJID int64 [4]")):
        find(found, "objid", "--id")


def test_what_stands_beside_images_is_found_by_name_and_shape():
    found = contents(
        image_array=CUBE, image_ivar=CUBE, image_mask="bool 4 32 32", image_band="text 4 5", psf_mask="bool 4 5 32 32"
    )
    choice = choose_images(found, None)
    assert beside(found, choice, ("ivar",), [(4, 5, 32, 32)]) == "image_ivar"
    assert beside(found, choice, ("mask",), [(4, 5, 32, 32), (4, 32, 32)]) == "image_mask"
    assert bands_beside(found, choice) == "image_band"
    nested = contents(image__flux=CUBE, image__band="text 4 5")
    assert bands_beside(nested, choose_images(nested, None)) == "image.band"
