import re

import numpy as np
import pytest

from lambda_image.data.file_content import Column
from lambda_image.errors import UsageError
from scripts.importing.choosing import (
    bands_beside,
    beside,
    choose_columns,
    choose_id,
    choose_images,
    choose_photometry,
    choose_redshifts,
    find,
    same_ids,
)
from scripts.importing.contents import Contents

N = 4


def never(_start: int, _stop: int) -> np.ndarray:
    raise AssertionError("nothing is read to choose")


def contents(**arrays: str) -> Contents:
    """Arrays by name, as "float32 4 5 32 32"; two underscores in a name stand for a dot."""
    columns = {}
    for name, described in arrays.items():
        dtype, *shape = described.split()
        columns[name.replace("__", ".")] = Column(dtype, tuple(map(int, shape)), never)
    return Contents("a.file", "test", columns)


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


def test_ids_are_guessed_in_an_order_and_named_by_a_flag():
    found = contents(name="text 4", specobjid="uint64 4", objid="int64 4", wide="int64 4 2")
    assert choose_id(found, None, N) == "objid"
    assert choose_id(found, "NAME", N) == "name"
    assert choose_id(contents(ra=COLUMN), None, N) is None
    with pytest.raises(UsageError, match=r"--id wide is no column of 4 ids: wide int64 \[4, 2\]"):
        choose_id(found, "wide", N)


def test_ids_are_the_same_in_further_tables_only():
    found = contents(a__objid="int64 4", b__OBJID="int64 4", a__obj_id="int64 4")
    assert same_ids(found, "a.objid") == ["b.OBJID"]
    assert same_ids(found, None) == []


def test_columns_travel_unless_they_are_used_or_have_a_name_of_the_table():
    found = contents(objid="int64 4", ra="float64 4", quality="int32 4", u=COLUMN, wide="int64 4 2", other="int64 9")
    kept, told = choose_columns(found, None, "objid", ["u"], N)
    assert kept == {"objid": "objid", "ra": "ra"}
    assert told == ["quality stays behind, since the table of predictions has a column of this name"]
    assert choose_columns(found, "none", "objid", ["u"], N)[0] == {"objid": "objid"}
    assert choose_columns(found, "RA", None, ["u"], N)[0] == {"ra": "ra"}
    with pytest.raises(UsageError, match=r"--columns dex: a\.file has no such array"):
        choose_columns(found, "ra,dex", None, (), N)
    with pytest.raises(UsageError, match=r"--columns wide is no column of 4 values: wide int64 \[4, 2\]"):
        choose_columns(found, "wide", None, (), N)


@pytest.mark.parametrize(("row", "travels"), [("int64 4", True), ("uint16 4", True), ("float64 4", False)])
def test_a_column_row_travels_if_it_can_number_rows(row: str, travels: bool):
    for dtype, goes in ((row, travels), ("text 4", False), ("uint64 4", False)):
        kept, told = choose_columns(contents(objid="int64 4", row=dtype), None, "objid", (), N)
        assert kept == {"objid": "objid"} | ({"row": "row"} if goes else {})
        why = "row stays behind, since the table of predictions has a column of this name"
        assert told == ([] if goes else [why])


@pytest.mark.parametrize("name", ["source", "row", "x" * 101])  # no catalogue is joined by `row`
def test_ids_whose_name_is_taken_are_refused(name: str):
    with pytest.raises(UsageError, match=f"--id {name} cannot travel, since .*: rename it in a.file$"):
        choose_columns(contents(**{name: "int64 4"}), None, name, (), N)


def test_columns_that_cannot_travel_are_listed():
    found = contents(objid="int64 4", observed="timestamp[us] 4", wide="int64 4 2", other="timestamp[us] 9")
    kept, told = choose_columns(found, None, "objid", (), N)
    assert kept == {"objid": "objid"}
    assert told == ["what holds neither numbers nor text stays behind: observed timestamp[us] [4]"]
    assert choose_columns(found, "objid", "objid", (), N)[1] == []
    assert choose_columns(contents(objid="int64 9", ra=COLUMN), None, None, (), N) == (
        {"ra": "ra"},
        ["no ids come from objid int64 [9], as 4 are needed"],
    )


def test_a_wide_catalogue_leaves_all_but_ids_and_positions():
    found = contents(**{f"column{n}": COLUMN for n in range(500)}, objid="int64 4", RA="float64 4", DEC="float64 4")
    kept, told = choose_columns(found, None, "objid", (), N)
    assert list(kept) == ["objid", "RA", "DEC"]
    assert told == ["500 of 503 columns stay behind; --columns names others"]
    with pytest.raises(UsageError, match="100 columns are to travel; 63 can"):
        choose_columns(found, ",".join(f"column{n}" for n in range(100)), None, (), N)


def test_columns_have_short_names_where_these_differ():
    found = contents(photo__objid="int64 4", spec__objid="int64 4", spec__snr=COLUMN)
    assert list(choose_columns(found, None, None, (), N)[0]) == ["photo.objid", "spec.objid", "snr"]


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
