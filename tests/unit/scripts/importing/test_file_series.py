from pathlib import Path

import numpy as np
import pytest

from lambda_image.data.file_content import Column
from lambda_image.errors import PartitionMalformed
from scripts.importing.contents import TEXT, Contents, as_texts, dtype_name
from scripts.importing.file_series import FileSeries


def column(values: np.ndarray) -> Column:
    return Column(dtype_name(values.dtype), values.shape, lambda start, stop: values[start:stop])


def series(*files: Contents) -> FileSeries:
    return FileSeries([Path(str(number)) for number in range(len(files))], lambda path: files[int(path.name)])


def stamps(**said: object) -> Contents:
    return Contents("a", "test", {"images": column(np.zeros((2, 5, 4, 4)))}, **said)


def test_files_whose_bands_differ_are_no_series():
    one, other = ({"images": tuple(names)} for names in ("ugriz", "zirgu"))
    assert series(stamps(bands=one), stamps(bands=one)).contents("x").bands == one
    with pytest.raises(PartitionMalformed, match=r"1 has the bands z, i, r, g, u in images, and 0 has u, g, r, i, z"):
        series(stamps(bands=one), stamps(bands=other)).contents("x")
    spelled = {"images": ("DES-U", "DES-G", "DES-R", "DES-I", "DES-Z")}
    assert series(stamps(bands=one), stamps(bands=spelled)).contents("x").bands == one
    for silent in ((one, {}), ({}, one)):  # --bands must say it
        found = series(*(stamps(bands=bands) for bands in silent)).contents("x")
        assert (found.bands, found.nameless) == ({}, {"images": Path(str(silent.index({})))})
    assert series(stamps(), stamps()).contents("x").nameless == {}  # as none names them, no file is at fault


def test_units_and_scales_that_differ_between_files_are_kept():
    units = [{"images": "nJy"}, {"images": "uJy"}, {}, {"images": "nJy"}]
    assert series(*(stamps(units=given) for given in units)).contents("x").units_of(["images"]) == ("nJy", "uJy", None)
    scales = [stamps(pixel_scales={"images": scale}) for scale in (0.396, 0.397, 0.262)]
    assert series(*scales[:2]).contents("x").other_scales == {}
    assert series(*scales).contents("x").other_scales == {"images": Path("2")}


def with_array(name: str, *files: np.ndarray, galaxies: int = 9) -> Column:
    images, ids = column(np.zeros((galaxies, 5, 4, 4))), column(np.arange(9))
    found = [Contents("a", "test", {name: column(values), "images": images, "objid": ids}) for values in files]
    return series(*found).contents("x").arrays[name]


@pytest.mark.parametrize("galaxies", [1, 5, 9])
def test_names_of_bands_that_each_file_has_once_are_there_once(galaxies: int):
    names = np.array(list("ugriz"))
    found = with_array("bands", names, np.array(list("UGRIZ")), galaxies=galaxies)
    assert found.shape == (5,)
    assert as_texts(found.read(0, 5)) == list("ugriz")
    with pytest.raises(PartitionMalformed, match=r"1 has z, i, r, g, u in bands, and 0 has u, g, r, i, z: import them"):
        with_array("bands", names, names[::-1], galaxies=galaxies)


def test_names_of_bands_that_no_axis_has_follow_one_another():
    names = np.array(list("ugriz"))
    assert with_array("bands", np.array(["r"] * 9), np.array(["g"] * 9)).shape == (18,)  # a band for each galaxy
    assert with_array("CCDS.filter", names[:3], names[1:4]).shape == (6,)  # of the exposures that each file lists
    assert with_array("CCDS.filter", np.array(list("rrrgg")), np.array(list("ggggg"))).shape == (10,)
    for name in ("notes", "filters.name", "bandpass"):
        assert with_array(name, names, names[::-1]).shape == (10,)


def test_what_is_text_in_one_file_is_text_in_all():
    numbers = np.ma.MaskedArray([123456789012345678, 2], [False, True])
    for files in ((numbers, np.array([b"J1", b"J2"])), (np.array([b"J1", b"J2"]), numbers)):
        found = with_array("id", *files)
        assert found.dtype == TEXT
        read = [found.read(start, start + 1).tolist() for start in range(4)]
        assert sorted(read) == [[b""], [b"123456789012345678"], [b"J1"], [b"J2"]]


def test_types_of_numbers_are_one_and_what_cannot_be_read_is_not():
    assert with_array("z", np.zeros(2), np.zeros(2, np.int32)).dtype == "float64"
    assert with_array("z", np.zeros(2), np.zeros(2, "datetime64[s]")).dtype == "datetime64[s]"


def test_integers_are_of_one_type_whatever_is_read_of_them():
    small, large = np.ma.MaskedArray([3, 4], [False, True], np.int16), np.array([10**17])
    found = with_array("run", small, large)
    read = found.read(0, 2)
    assert read.dtype == np.int64  # so that the least of this type stands for the missing one
    assert read.tolist() == [3, None]
    assert with_array("z", np.zeros(2), np.zeros(2, np.int32)).read(2, 4).dtype == np.int32


def test_rows_at_which_files_end_are_told():
    assert series(stamps(), stamps()).contents("x").ends.tolist() == [2, 4]
