import gzip
import shutil
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import MaskedColumn, Table

from lambda_image.errors import PartitionMalformed
from scripts.importing.fits_files import bands_of, open_fits, pixel_scale_of
from scripts.importing.opening import open_file

N = 12
ROWS = [(0, N), (0, 1), (3, 7), (N - 1, N)]


def written(path: Path, *hdus: fits.hdu.base.ExtensionHDU) -> Path:
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(path)
    return path


def cube(dtype: str = "f4") -> np.ndarray:
    return (np.random.default_rng(0).normal(50, 20, (N, 5, 9, 8))).astype(dtype)


def as_astropy_reads(path: Path, extension: int | str) -> np.ndarray:
    with fits.open(path) as hdus:
        return hdus[extension].data.copy()


@pytest.mark.parametrize("dtype", ["f4", "f8", "i2", "i4", "u2", "u1"])
def test_rows_of_an_image_are_what_astropy_reads(tmp_path, dtype):
    path = written(tmp_path / "a.fits", fits.ImageHDU(cube(dtype), name="SCI"))
    image = open_fits(path).arrays["SCI"]
    assert image.shape == (N, 5, 9, 8)
    for start, stop in ROWS:
        rows = image.read(start, stop)
        assert rows.dtype.isnative
        np.testing.assert_array_equal(rows, as_astropy_reads(path, "SCI")[start:stop])


def test_scaled_integers_with_blanks_are_floating_point_numbers_with_nan(tmp_path):
    hdu = fits.ImageHDU(cube(), name="SCI")
    hdu.scale("int16", bscale=0.01, bzero=20)
    hdu.header["BLANK"] = -32768
    hdu.data[2, 1, 4, 4] = -32768
    path = written(tmp_path / "a.fits", hdu)
    rows = open_fits(path).arrays["SCI"].read(1, 4)
    assert np.isnan(rows[1, 1, 4, 4])
    assert np.isnan(rows).sum() == 1
    np.testing.assert_allclose(rows[0], cube()[1], atol=0.006)


@pytest.mark.parametrize("compression", ["RICE_1", "GZIP_1", "GZIP_2", "HCOMPRESS_1"])
def test_compressed_images_are_read(tmp_path, compression):
    shape = (N, 5, 16, 16)
    whole = np.random.default_rng(0).integers(0, 1000, shape).astype("i4")
    tiles = (1, 1, 16, 16)
    path = written(
        tmp_path / "a.fits.fz", fits.CompImageHDU(whole, name="SCI", compression_type=compression, tile_shape=tiles)
    )
    image = open_fits(path).arrays["SCI"]
    assert image.shape == shape
    np.testing.assert_array_equal(image.read(3, 7), as_astropy_reads(path, "SCI")[3:7])
    np.testing.assert_array_equal(image.read(3, 7), whole[3:7])


def test_a_packed_file_is_read_and_its_unpacked_copy_goes_with_it(tmp_path, monkeypatch):
    path = written(tmp_path / "a.fits", fits.ImageHDU(cube(), name="SCI"))
    with path.open("rb") as plain, gzip.open(tmp_path / "a.fits.gz", "wb") as packed:
        shutil.copyfileobj(plain, packed)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    contents = open_fits(tmp_path / "a.fits.gz")
    assert len(list((tmp_path / "tmp").iterdir())) == 1
    np.testing.assert_array_equal(contents.arrays["SCI"].read(2, 5), cube()[2:5])
    del contents
    assert not list((tmp_path / "tmp").iterdir())


def read_all(path: Path) -> None:
    for column in open_file(path).arrays.values():
        column.read(0, N)


def table(path: Path) -> Path:
    rng = np.random.default_rng(1)
    columns = {
        "objid": 10**17 + np.arange(N),
        "unsigned": np.arange(N).astype("u8") + np.uint64(2**63),
        "small": np.arange(N).astype("i2"),
        "word": np.array([f"galaxy {row}" for row in range(N)]),
        "flag": np.arange(N) % 3 == 0,
        "ra": rng.uniform(0, 360, N),
        "mags": rng.normal(18, 1, (N, 5)).astype("f4"),
        "stamps": rng.random((N, 5, 3, 4)).astype("f4"),
    }
    made = Table(columns)
    made["with_nulls"] = MaskedColumn(np.arange(N), mask=np.arange(N) == 4, fill_value=-1)
    made.meta["EXTNAME"] = "CATALOG"
    made["ra"].unit = "deg"
    made.write(path)
    return path


def test_rows_of_a_table_are_what_astropy_reads(tmp_path):
    path = table(tmp_path / "a.fits")
    contents = open_fits(path)
    whole = as_astropy_reads(path, 1)
    types = ["int64", "uint64", "int16", "text", "bool", "float64", "float32", "float32", "int64"]
    assert [column.dtype for column in contents.arrays.values()] == types
    assert contents.units == {"ra": "deg"}
    for name, column in contents.arrays.items():
        for start, stop in ROWS:
            rows = column.read(start, stop)
            assert rows.shape == (stop - start, *column.shape[1:])
            assert rows.dtype.isnative or rows.dtype.kind == "S"
            expected = np.char.encode(whole[name], "utf-8") if name == "word" else whole[name]
            np.testing.assert_array_equal(np.ma.getdata(rows), expected[start:stop])


def test_tnull_is_masked(tmp_path):
    rows = open_fits(table(tmp_path / "a.fits")).arrays["with_nulls"].read(3, 6)
    assert np.ma.getmaskarray(rows).tolist() == [False, True, False]


@pytest.mark.parametrize("null", [999999, 999999 - 2**63])  # as astropy writes it, and as the standard has it
def test_unsigned_integers_with_nulls(tmp_path, null):
    ids = np.array([2**63 + 5, 999999, 7], np.uint64)
    column = fits.Column("objid", "K", bzero=2**63, null=null, array=ids)
    fits.BinTableHDU.from_columns([column]).writeto(tmp_path / "a.fits")
    read = open_fits(tmp_path / "a.fits").arrays["objid"].read(0, 3)
    assert np.ma.getmaskarray(read).tolist() == [False, True, False]
    assert read[0] == 2**63 + 5


def test_scaled_columns_with_nulls(tmp_path):
    stored = np.where(np.arange(N) == 3, -999, np.arange(N) * 50).astype("i2")
    path = written(
        tmp_path / "a.fits", fits.BinTableHDU.from_columns([fits.Column("mag", "I", null=-999, array=stored)])
    )
    fits.setval(path, "TSCAL1", value=0.01, ext=1)
    fits.setval(path, "TZERO1", value=20.0, ext=1)
    column = open_fits(path).arrays["mag"]
    rows = column.read(2, 5)
    assert column.dtype == "float64"
    assert rows[0] == pytest.approx(21)
    assert rows[2] == pytest.approx(22)
    assert np.ma.getmaskarray(rows).tolist() == [False, True, False]


def test_arrays_of_several_extensions_have_the_names_of_these(tmp_path):
    first = fits.BinTableHDU.from_columns([fits.Column("objid", "K", array=np.arange(N))], name="PHOTO")
    second = fits.BinTableHDU.from_columns([fits.Column("z", "E", array=np.zeros(N))], name="SPEC")
    images = [fits.ImageHDU(cube(), name="SCI"), fits.ImageHDU(cube()), fits.ImageHDU(cube(), name="IVAR")]
    contents = open_fits(written(tmp_path / "a.fits", *images, first, second))
    assert list(contents.arrays) == ["SCI", "HDU2", "IVAR", "PHOTO.objid", "SPEC.z"]


def test_what_has_a_variable_length_is_listed_and_not_read(tmp_path):
    columns = [
        fits.Column("objid", "K", array=np.arange(3)),
        fits.Column("many", "PJ()", array=np.array([np.arange(n) for n in (1, 2, 3)], dtype=object)),
    ]
    contents = open_fits(written(tmp_path / "a.fits", fits.BinTableHDU.from_columns(columns)))
    assert contents.arrays["many"].dtype == "of variable length"
    assert contents.arrays["objid"].read(1, 3).tolist() == [1, 2]


@pytest.mark.parametrize("bytes_left", [100, 2880 + 100, -2880])
def test_a_file_that_is_cut_off_is_refused(tmp_path, bytes_left):
    path = table(tmp_path / "a.fits")
    path.write_bytes(path.read_bytes()[:bytes_left])
    with pytest.raises(PartitionMalformed, match=r"a\.fits"):
        read_all(path)


@pytest.mark.parametrize("image", [fits.ImageHDU(cube()), fits.CompImageHDU(cube())], ids=["plain", "compressed"])
def test_an_image_that_is_cut_off_is_refused(tmp_path, image):
    path = written(tmp_path / "a.fits", image)
    path.write_bytes(path.read_bytes()[:-8000])
    with pytest.raises(PartitionMalformed, match=r"a\.fits"):
        read_all(path)


@pytest.mark.parametrize(
    ("cards", "bands"),
    [
        ({"BANDS": "ugriz"}, ("u", "g", "r", "i", "z")),
        ({"BANDS": "grz", "BAND0": "g", "BAND1": "r", "BAND2": "z"}, ("g", "r", "z")),
        ({"BANDS": "u, g, r"}, ("u", "g", "r")),
        ({"BAND1": "DES-G", "BAND2": "DES-R"}, ("DES-G", "DES-R")),
        ({"FILTER": "g"}, ("g",)),
        ({"FILTER1": "SDSS-u", "FILTER2": "SDSS-g"}, ("SDSS-u", "SDSS-g")),
        ({}, ()),
    ],
)
def test_bands_are_read_from_a_header(cards, bands):
    assert bands_of(fits.Header(cards)) == bands


CELESTIAL = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN"}


@pytest.mark.parametrize(
    ("cards", "scale"),
    [
        ({**CELESTIAL, "CD1_1": -1e-4, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 1e-4}, 0.36),
        ({**CELESTIAL, "CD1_1": 0.0, "CD1_2": 1e-4, "CD2_1": 1e-4, "CD2_2": 0.0}, 0.36),
        ({**CELESTIAL, "CDELT1": -1e-4, "CDELT2": 1e-4}, 0.36),
        ({**CELESTIAL, "CDELT1": -1e-4, "CDELT2": 1e-4, "PC1_1": 0.6, "PC1_2": 0.8, "PC2_1": -0.8, "PC2_2": 0.6}, 0.36),
        ({"PIXSCALE": 0.262}, 0.262),
        ({"CTYPE1": "LINEAR", "CDELT1": 1.0, "CDELT2": 1.0}, None),
        ({}, None),
    ],
)
def test_the_pixel_scale_is_that_of_astropys_wcs(cards, scale):
    assert pixel_scale_of(fits.Header(cards)) == (None if scale is None else pytest.approx(scale))
    if scale is not None and "PIXSCALE" not in cards:
        from astropy.wcs import WCS
        from astropy.wcs.utils import proj_plane_pixel_scales

        assert proj_plane_pixel_scales(WCS(fits.Header(cards)))[0] * 3600 == pytest.approx(scale)


def test_a_file_that_was_cut_off_is_told_before_anything_is_missed_in_it(tmp_path):
    image, table = fits.PrimaryHDU(np.zeros((5, 40, 40))), fits.BinTableHDU(Table({"objid": np.arange(5)}))
    fits.HDUList([image, table]).writeto(tmp_path / "whole.fits")
    whole = (tmp_path / "whole.fits").read_bytes()
    (tmp_path / "cut.fits").write_bytes(whole[:20_000])
    with pytest.raises(PartitionMalformed, match=r"cut\.fits is cut off, as it needs 69,120 bytes and has 20,000"):
        open_fits(tmp_path / "cut.fits")
    (tmp_path / "bare.fits").write_bytes(whole[:-2800])  # without padding
    assert open_fits(tmp_path / "bare.fits").arrays["objid"].read(0, 5).tolist() == [0, 1, 2, 3, 4]


def test_a_tile_that_is_damaged_is_told(tmp_path):
    path = tmp_path / "a.fits"
    tiles = fits.CompImageHDU(np.arange(5 * 32 * 32, dtype="i4").reshape(5, 32, 32), name="SCI")
    fits.HDUList([fits.PrimaryHDU(), tiles]).writeto(path)
    with fits.open(path, disable_image_compression=True) as hdus:
        start = hdus[1].fileinfo()["datLoc"] + hdus[1].header["NAXIS1"] * hdus[1].header["NAXIS2"]
    content = bytearray(path.read_bytes())
    content[start : start + 200] = b"\xff" * 200
    path.write_bytes(content)
    (image,) = open_file(path).arrays.values()
    with pytest.raises(PartitionMalformed, match=r"a\.fits: SCI is damaged: decompression"):
        image.read(0, 5)


@pytest.mark.parametrize(
    ("card", "damaged", "told"),
    [
        ("XTENSION= 'IMAGE", "XTENSION= 'IMAG?", "holds no image and no table"),
        (
            "SIMPLE  =                    T /",
            "SIMPLE  =                    T 6",
            "damaged in the header of HDU 0: fetch",
        ),
        ("ZVAL1   =     ", "ZVAL1   = \xff\xfe\xfd ", "is damaged: Unparsable card"),
    ],
)
def test_a_header_that_is_damaged_is_told(tmp_path, card, damaged, told):
    path, image = tmp_path / "a.fits", np.ones((5, 32, 32), "f4")
    packed = card.startswith("ZVAL")
    second = fits.CompImageHDU(image) if packed else fits.ImageHDU(image)
    fits.HDUList([fits.PrimaryHDU(), second]).writeto(path)
    content = path.read_bytes()
    assert card.encode() in content
    path.write_bytes(content.replace(card.encode(), damaged.encode("latin-1")))
    with pytest.raises(PartitionMalformed, match=told):
        read_all(path)
