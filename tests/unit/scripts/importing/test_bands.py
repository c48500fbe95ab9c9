import pytest

from lambda_image.errors import UsageError
from scripts.importing.bands import letter, places_of, resolve, templates


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        *(("g", "g"), ("G", "g"), ("des-g", "g"), ("DES-G", "g"), ("sdss_u", "u"), ("SDSS u", "u"), ("HSC-R", "r")),
        *(("decam.z", "z"), ("CFHT_MegaCam.i", "i"), ("u'", "u"), ("r-band", "r"), ("g_sdss", "g"), ("iband", "i")),
        *(("y", "y"), ("des-Y", "y"), ("W1", "w1"), ("i2", "i2"), ("white", "white"), ("f160w", "f160w")),
    ],
)
def test_case_and_survey_are_ignored_and_nothing_else(name, plain):
    assert letter(name) == plain


def test_places_follow_the_names_and_not_the_order():
    assert places_of(["z", "i", "r", "g", "u"], "x") == [4, 3, 2, 1, 0]
    assert places_of(["des-y", "des-g", "DES-R", "sdss-u", "Z", "i"], "x") == [3, 1, 2, 5, 4]


def test_a_missing_band_is_refused_and_what_was_found_is_named():
    with pytest.raises(UsageError, match=r"image_array of a\.hdf5 lacks the band u; found: des-g, des-r, des-i, des-z"):
        places_of(["des-g", "des-r", "des-i", "des-z"], "image_array of a.hdf5")
    with pytest.raises(UsageError, match="x lacks the bands u, i; found: g, r, z"):
        places_of(["g", "r", "z"], "x")
    with pytest.raises(UsageError, match="x has the band g more than once; found: u, g, sdss-g"):
        places_of(["u", "g", "sdss-g", "r", "i", "z"], "x")


@pytest.mark.parametrize(
    ("names", "found"),
    [
        ([f"dered_{band}" for band in "ugriz"], ["dered_{band}"]),
        ([f"modelMag_{band}" for band in "ugriz"], ["modelMag_{band}"]),
        ([f"FLUX_{band}" for band in ("G", "R", "I", "Z", "W1", "W2")], ["FLUX_{band}"]),
        ([f"{band}mag" for band in "ugriz"] + [f"e_{band}mag" for band in "ugriz"], ["{band}mag"]),  # VizieR
        ([f"{band}_cmodel_mag" for band in "grizy"], ["{band}_cmodel_mag"]),
        ([f"MAG_AUTO_{band}" for band in "GRIZY"], ["MAG_AUTO_{band}"]),
        ([f"mag{band}" for band in "UGRIZ"], ["mag{band}"]),
        (list("ugriz"), ["{band}"]),
        ([f"photo.mag_{band}" for band in "ugriz"], ["photo.mag_{band}"]),
        ([f"photo/g_{band}" for band in ("flux", "err")], []),
        (["ra", "dec", "z", "redshift"], []),
    ],
)
def test_names_that_differ_in_the_band_are_found(names, found):
    assert [template.name for template in templates(names)] == found


def test_a_template_of_the_user_finds_names_without_regard_to_case_and_survey():
    names = [f"FLUX_{band}" for band in "UGRIZ"] + [f"x_SDSS-{band}" for band in "ugriz"]
    assert resolve("flux_{band}", names, "--fluxes", "") == {band: f"FLUX_{band.upper()}" for band in "ugriz"}
    assert resolve("x_{band}", names, "--fluxes", "") == {band: f"x_SDSS-{band}" for band in "ugriz"}


def test_a_template_that_finds_too_little_is_refused():
    with pytest.raises(UsageError, match=r"--fluxes FLUX_\{band\}: there is none for the bands u, i; found: FLUX_G"):
        resolve("FLUX_{band}", ["FLUX_G", "FLUX_R", "FLUX_Z"], "--fluxes", "listed")
    with pytest.raises(UsageError, match="found: none of that form among listed"):
        resolve("a_{band}", ["FLUX_G"], "--fluxes", "listed")
