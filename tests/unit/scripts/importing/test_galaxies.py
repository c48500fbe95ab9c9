from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.table import Table
from pyarrow import csv

from lambda_image.errors import PartitionMalformed, UsageError
from scripts.importing.contents import Contents
from scripts.importing.galaxies import Galaxies, Request
from scripts.importing.images import PixelFlags
from scripts.importing.magnitudes import PhotometryFlags
from scripts.importing.opening import open_file

N = 12


def catalogue(sample) -> dict[str, np.ndarray]:
    columns = {"objid": sample.ids, "ra": sample.ra, "z_spec": sample.redshifts.astype("f8")}
    return columns | {f"dered_{band}": sample.magnitudes[:, place] for place, band in enumerate("ugriz")}


def cube_and_table(path: Path, sample, **cards: object) -> Path:
    image = fits.PrimaryHDU(sample.images)
    image.header.update({"BANDS": "ugriz", "BUNIT": "nanomaggy", "PIXSCALE": 0.396, **cards})
    fits.HDUList([image, fits.BinTableHDU(Table(catalogue(sample)), name="CATALOG")]).writeto(path)
    return path


def check(galaxies: Galaxies, sample, *, atol: float = 0.0) -> None:
    assert len(galaxies) == N
    for start, stop in ((0, N), (3, 7)):
        part = galaxies.read(start, stop)
        np.testing.assert_allclose(part.images, sample.images[start:stop], atol=atol)
        np.testing.assert_allclose(part.magnitudes, sample.magnitudes[start:stop], atol=atol)
        np.testing.assert_array_equal(part.redshifts, sample.redshifts[start:stop])
        assert part.columns["objid"].dtype == np.int64
        np.testing.assert_array_equal(part.columns["objid"], sample.ids[start:stop])
        np.testing.assert_array_equal(part.columns["ra"], sample.ra[start:stop])
        np.testing.assert_array_equal(part.rows, np.arange(start, stop))


def test_a_fits_file_with_a_cube_and_a_table_needs_no_flags(tmp_path, sample):
    galaxies = Galaxies(Request((cube_and_table(tmp_path / "a.fits", sample),)))
    check(galaxies, sample)
    assert not galaxies.warnings
    shown = "\n".join(galaxies.lines)
    for words in (
        "a.fits: FITS, 12 galaxies",
        "images     PRIMARY float32 [12, 5, 32, 32]; bands u, g, r, i, z by the file; in nanomaggy by the file",
        "magnitudes dered_{band} float32 [12]; bands u, g, r, i, z by their names",
        "redshifts  z_spec float64 [12]",
        "columns    objid int64, ra float64; objid is the id",
        'pixels     0.396" wide',
    ):
        assert words in shown


def test_a_table_of_fits_with_images_in_a_column(tmp_path, sample):
    table = Table({**catalogue(sample), "stamps": sample.wide})
    hdu = fits.BinTableHDU(table)
    hdu.header["BANDS"] = "ugriz"
    hdu.writeto(tmp_path / "a.fits")
    check(Galaxies(Request((tmp_path / "a.fits",))), sample)


def test_pieces_of_any_size_give_the_same(tmp_path, sample, monkeypatch):
    words = np.array(["a", *["longer"] * (N - 1)])
    np.savez(tmp_path / "a.npz", images=sample.images, bands=list("ugriz"), word=words, **catalogue(sample))
    whole = Galaxies(Request((tmp_path / "a.npz",))).read(0, N)
    monkeypatch.setattr("scripts.importing.galaxies.BATCH_BYTES", 5 * 32 * 32 * 4)
    pieces = Galaxies(Request((tmp_path / "a.npz",))).read(0, N)
    for name in ("images", "magnitudes", "redshifts", "rows"):
        np.testing.assert_array_equal(getattr(pieces, name), getattr(whole, name))
    assert {name: values.tolist() for name, values in pieces.columns.items()} == {
        name: values.tolist() for name, values in whole.columns.items()
    }


def test_npz_with_the_bands_in_an_array(tmp_path, sample):
    arrays = {"images": sample.images[:, ::-1], "mags": sample.magnitudes[:, ::-1], "redshift": sample.redshifts}
    np.savez(tmp_path / "a.npz", **arrays, bands=list("zirgu"), objid=sample.ids, ra=sample.ra)
    check(Galaxies(Request((tmp_path / "a.npz",))), sample)


def test_a_catalogue_beside_a_cube(tmp_path, sample):
    pq.write_table(pa.table(catalogue(sample)), tmp_path / "cat.parquet")
    csv.write_csv(pa.table(catalogue(sample)), tmp_path / "cat.csv")
    np.save(tmp_path / "cube.npy", np.moveaxis(sample.images, 1, 3))
    pixels = PixelFlags(bands=tuple("ugriz"))
    for name in ("cat.parquet", "cat.csv"):
        request = Request((tmp_path / name,), images=str(tmp_path / "cube.npy"), pixels=pixels)
        check(Galaxies(request), sample)


def test_a_catalogue_beside_a_cube_for_each_band(tmp_path, sample):
    Table(catalogue(sample)).write(tmp_path / "cat.fits")
    for place, band in enumerate("ugriz"):
        fits.PrimaryHDU(sample.wide[:, place]).writeto(tmp_path / f"cube_{band}.fits")
    check(Galaxies(Request((tmp_path / "cat.fits",), images=str(tmp_path / "cube_{band}.fits"))), sample)
    (tmp_path / "cube_i.fits").unlink()
    with pytest.raises(UsageError, match=r"--images .*cube_i\.fits does not exist: name a file for each band"):
        Galaxies(Request((tmp_path / "cat.fits",), images=str(tmp_path / "cube_{band}.fits")))


def test_one_of_the_arrays_of_another_file_is_named_in_brackets(tmp_path, sample):
    Table(catalogue(sample)).write(tmp_path / "cat.fits")
    np.savez(tmp_path / "stamps.npz", raw=np.zeros_like(sample.images), clean=sample.images, bands=list("ugriz"))
    with pytest.raises(UsageError, match=r"could be raw float32.*clean float32.*name them with --images"):
        Galaxies(Request((tmp_path / "cat.fits",), images=str(tmp_path / "stamps.npz")))
    check(Galaxies(Request((tmp_path / "cat.fits",), images=f"{tmp_path}/stamps.npz[clean]")), sample)


def test_a_catalogue_beside_a_file_for_each_galaxy(tmp_path, sample):
    pq.write_table(pa.table(catalogue(sample)), tmp_path / "cat.parquet")
    (tmp_path / "stamps").mkdir()
    for row in range(N):
        hdu = fits.PrimaryHDU(sample.wide[row])
        hdu.header["BANDS"] = "ugriz"
        hdu.writeto(tmp_path / f"stamps/{sample.ids[row]}.fits")
    check(Galaxies(Request((tmp_path / "cat.parquet",), images="stamps/{objid}.fits")), sample)


def multimodal(path: Path, sample, rows: slice) -> Path:
    """As the Multimodal Universe keeps survey images in HDF5, with a fifth band that it does not have."""
    bands = np.array([[f"sdss-{band}" for band in "ugriz"]] * N, dtype=h5py.string_dtype("utf-8", 6))
    path.parent.mkdir(parents=True)
    with h5py.File(path, "w") as file:
        arrays = {
            "object_id": sample.ids,
            "ra": sample.ra,
            "image_band": bands,
            "image_array": sample.wide,
            "image_ivar": np.ones_like(sample.wide),
            "image_mask": np.ones((N, 40, 40), bool),
            "image_psf_fwhm": np.full((N, 5), 1.3, "f4"),
            "image_scale": np.full((N, 5), 0.396, "f4"),
            "Z": sample.redshifts,
            **{f"FLUX_{band}": 10 ** ((22.5 - sample.magnitudes[:, n]) / 2.5) for n, band in enumerate("UGRIZ")},
        }
        for name, values in arrays.items():
            file.create_dataset(name, data=values[rows], compression="gzip", chunks=True)
    return path


def test_files_of_the_multimodal_universe(tmp_path, sample):
    multimodal(tmp_path / "sdss/healpix=10/001-of-001.hdf5", sample, slice(4, N))
    multimodal(tmp_path / "sdss/healpix=9/001-of-001.hdf5", sample, slice(0, 4))
    galaxies = Galaxies(Request((tmp_path / "sdss",)))
    part = galaxies.read(0, N)
    np.testing.assert_array_equal(part.images, sample.images)
    np.testing.assert_allclose(part.magnitudes, sample.magnitudes, atol=1e-5)
    np.testing.assert_array_equal(part.redshifts, sample.redshifts)
    np.testing.assert_array_equal(part.columns["object_id"], sample.ids)
    assert not galaxies.warnings


def test_parquet_of_the_multimodal_universe(tmp_path, sample):
    rows = [
        {"band": [f"sdss-{b}" for b in "ugriz"], "flux": image.tolist(), "scale": [0.396] * 5,
         "mask": np.ones_like(image, bool).tolist(), "ivar": np.ones_like(image).tolist()}
        for image in sample.images
    ]  # fmt: skip
    table = pa.table({**catalogue(sample), "image": pa.array(rows)})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=5)
    check(Galaxies(Request((tmp_path / "a.parquet",))), sample)


def test_a_survey_without_the_models_bands_is_refused(tmp_path, sample):
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file["image_array"], file["image_band"] = sample.images[:, 1:], [[b"des-g", b"des-r", b"des-i", b"des-z"]] * N
        for place, band in enumerate("GRIZ"):
            file[f"FLUX_{band}"] = sample.magnitudes[:, place]
    with pytest.raises(UsageError, match=r"lacks the band u; found: des-g, des-r, des-i, des-z"):
        Galaxies(Request((tmp_path / "a.hdf5",)))


@pytest.mark.parametrize(("unit", "factor"), [("nJy", 3631.0), ("zeropoint=27", 10**1.8), ("maggy", 1e-9)])
def test_pixels_in_another_unit_become_nanomaggies(tmp_path, sample, unit, factor):
    scaled = sample._replace(images=(sample.images.astype("f8") * factor).astype("f4"))
    path = cube_and_table(tmp_path / "a.fits", scaled, BUNIT="")
    part = Galaxies(Request((path,), unit=unit)).read(0, N)
    np.testing.assert_allclose(part.images, sample.images, rtol=1e-6)


def test_a_unit_that_contradicts_the_magnitudes_is_told(tmp_path, sample):
    path = cube_and_table(tmp_path / "a.fits", sample, BUNIT="nJy")
    (warning,) = Galaxies(Request((path,))).warnings
    assert "the images of 12 of the first 12 galaxies hold several times more or less light" in warning
    assert not Galaxies(Request((path,), unit="nanomaggy")).warnings


SCALES = [({}, None, False), ({}, 0.396, False), ({"PIXSCALE": 0.262}, None, True), ({}, 0.2, True)]


@pytest.mark.parametrize(("cards", "flag", "warned"), SCALES)
def test_another_pixel_scale_is_told(tmp_path, sample, cards, flag, warned):
    path = cube_and_table(tmp_path / "a.fits", sample, **cards)
    galaxies = Galaxies(Request((path,), pixel_scale=flag))
    assert any("the shipped weights were trained on 0.396" in warning for warning in galaxies.warnings) == warned
    assert any("which counts" in warning for warning in galaxies.warnings) == (flag == 0.2)


def test_redshifts_that_cannot_be_are_refused_as_a_guess(tmp_path, sample):
    columns = {**catalogue(sample), "z": sample.magnitudes[:, 4]}
    del columns["z_spec"]
    np.savez(tmp_path / "a.npz", images=sample.images, bands=list("ugriz"), **columns)
    with pytest.raises(UsageError, match=r"z of .*a\.npz holds no redshifts, as their median is"):
        Galaxies(Request((tmp_path / "a.npz",)))
    assert Galaxies(Request((tmp_path / "a.npz",), redshifts="none")).read(0, N).redshifts is None


def test_columns_keep_their_types_and_missing_values_are_told(tmp_path, sample):
    columns = {
        **catalogue(sample),
        "small": np.arange(N).astype("i2"),
        "unsigned": np.arange(N).astype("u8") + np.uint64(2**63),
        "flag": np.arange(N) % 2 == 0,
        "word": [f"ü{n}" for n in range(N)],
        "tile": pa.array([None, *range(1, N)], pa.int32()),
        "snr": pa.array([None, *range(1, N)], pa.float32()),
    }
    pq.write_table(pa.table(columns), tmp_path / "cat.parquet")
    np.save(tmp_path / "cube.npy", sample.images)
    pixels = PixelFlags(bands=tuple("ugriz"))
    galaxies = Galaxies(Request((tmp_path / "cat.parquet",), images=str(tmp_path / "cube.npy"), pixels=pixels))
    read = galaxies.read(0, N).columns
    types = [f"{name} {values.dtype.str[1:]}" for name, values in read.items()]
    assert types[2:] == ["small i2", "unsigned u8", "flag b1", "word S4", "tile i4", "snr f4"]
    assert [word.decode() for word in read["word"].tolist()] == columns["word"]
    assert np.isnan(read["snr"][0])
    assert read["tile"].tolist() == [-(2**31), *range(1, N)]
    assert galaxies.missing_integers == {"tile": 1}


def test_a_column_of_truth_values_with_gaps_is_refused_by_name(tmp_path, sample):
    columns = {**catalogue(sample), "flag": pa.array([True] * 5 + [None] * 7)}
    pq.write_table(pa.table(columns), tmp_path / "cat.parquet")
    np.save(tmp_path / "cube.npy", sample.images)
    request = Request((tmp_path / "cat.parquet",), str(tmp_path / "cube.npy"), PixelFlags(bands=tuple("ugriz")))
    with pytest.raises(PartitionMalformed, match=r"flag has no value in row 5: leave it out with --columns objid,ra$"):
        Galaxies(request).read(0, N)


def test_long_texts_stay_behind_unless_they_are_named(tmp_path, sample):
    np.savez(tmp_path / "a.npz", images=sample.images, bands=list("ugriz"), note=["x" * 300] * N, **catalogue(sample))
    galaxies = Galaxies(Request((tmp_path / "a.npz",)))
    assert "note" not in galaxies.read(0, N).columns
    assert any("note stays behind, since its texts have 300 bytes" in line for line in galaxies.lines)


def test_rows_of_a_catalogue_that_was_cut_from_another_are_kept(tmp_path, sample):
    np.savez(tmp_path / "a.npz", images=sample.images, bands=list("ugriz"), row=np.arange(N) * 10, **catalogue(sample))
    part = Galaxies(Request((tmp_path / "a.npz",))).read(2, 4)
    assert part.rows.tolist() == [20, 30]
    assert "row" not in part.columns


def test_redshifts_that_are_text_are_told(tmp_path, sample):
    columns = {**catalogue(sample), "z_spec": ["unknown", *map(str, sample.redshifts[1:])]}
    np.savez(tmp_path / "a.npz", images=sample.images, bands=list("ugriz"), **columns)
    galaxies = Galaxies(Request((tmp_path / "a.npz",)))
    assert "  redshifts  none; z_spec holds text" in galaxies.lines
    assert galaxies.read(0, N).redshifts is None


@pytest.mark.parametrize(("card", "value"), [("BUNIT", "uJy"), ("BANDS", "zirgu"), ("PIXSCALE", 0.262)])
def test_files_that_follow_one_another_are_not_taken_for_alike_if_their_headers_differ(tmp_path, sample, card, value):
    files = (cube_and_table(tmp_path / "1.fits", sample), cube_and_table(tmp_path / "2.fits", sample, **{card: value}))
    if card == "PIXSCALE":
        assert Galaxies(Request(files)).warnings == [
            f"{files[1]} has pixels of another width than the files before: import them one by one"
        ]
        return
    with pytest.raises(
        (UsageError, PartitionMalformed), match=r"several units \(nanomaggy, uJy\)|2\.fits has the bands z, i, r, g, u"
    ):
        Galaxies(Request(files))


def test_of_many_files_each_is_opened_once_for_all_of_its_columns(tmp_path, sample, monkeypatch):
    opened = []

    def counting(path: Path) -> Contents:
        opened.append(path)
        return open_file(path)

    monkeypatch.setattr("scripts.importing.opening.open_file", counting)
    files = tuple(cube_and_table(tmp_path / f"{number}.fits", sample) for number in range(4))
    galaxies = Galaxies(Request(files))
    opened.clear()
    part = galaxies.read(0, 4 * N)
    assert sorted(opened) == sorted(set(opened))
    np.testing.assert_array_equal(part.images, np.tile(sample.images, (4, 1, 1, 1)))
    np.testing.assert_array_equal(part.columns["objid"], np.tile(sample.ids, 4))
    np.testing.assert_array_equal(galaxies.read(N - 1, N + 1).columns["objid"], [sample.ids[-1], sample.ids[0]])


def test_other_numbers_of_images_than_of_galaxies_are_refused(tmp_path, sample):
    Table(catalogue(sample)).write(tmp_path / "cat.fits")
    np.save(tmp_path / "cube.npy", sample.images[:10])
    request = Request((tmp_path / "cat.fits",), str(tmp_path / "cube.npy"), PixelFlags(bands=tuple("ugriz")))
    with pytest.raises(PartitionMalformed, match=r"cat\.fits has 12 rows, and there are 10 images"):
        Galaxies(request)


def test_galaxies_that_nothing_can_be_said_of_are_told(tmp_path, sample):
    path = cube_and_table(tmp_path / "a.fits", sample._replace(images=np.full_like(sample.images, np.nan)))
    assert any(
        "none of the first 12 galaxies can be judged" in warning for warning in Galaxies(Request((path,))).warnings
    )


def test_photometry_of_a_flag_is_used_whatever_a_guess_would_be(tmp_path, sample):
    columns = catalogue(sample) | {f"petroMag_{band}": sample.magnitudes[:, n] - 1 for n, band in enumerate("ugriz")}
    np.savez(tmp_path / "a.npz", images=sample.images, bands=list("ugriz"), **columns)
    with pytest.raises(UsageError, match=r"the magnitudes of .* could be dered_\{band\}, petroMag_\{band\}"):
        Galaxies(Request((tmp_path / "a.npz",)))
    request = Request((tmp_path / "a.npz",), photometry=PhotometryFlags(magnitudes="petromag_{band}"))
    np.testing.assert_allclose(Galaxies(request).read(0, N).magnitudes, sample.magnitudes - 1, rtol=1e-6)


def several_tables(path: Path, sample, order: np.ndarray, more: int = 0) -> Path:
    """Magnitudes in one table and redshifts in another, whose rows are in another order or are more."""
    columns = catalogue(sample)
    redshifts = np.concatenate([columns.pop("z_spec")[order], np.zeros(more)])
    ids = np.concatenate([sample.ids[order], np.arange(more)])
    image = fits.PrimaryHDU(sample.images)
    image.header["BANDS"] = "ugriz"
    spectra = fits.BinTableHDU(Table({"objid": ids, "z_spec": redshifts}), name="SPEC")
    fits.HDUList([image, fits.BinTableHDU(Table(columns), name="PHOT"), spectra]).writeto(path)
    return path


def test_redshifts_of_a_table_with_more_rows_are_refused(tmp_path, sample):
    path = several_tables(tmp_path / "a.fits", sample, np.arange(N), more=4)
    with pytest.raises(PartitionMalformed, match=r"has 12 galaxies, and another .* SPEC\.z_spec float64 \[16\]: join"):
        Galaxies(Request((path,)))
    assert Galaxies(Request((path,), redshifts="none")).read(0, N).redshifts is None


def test_tables_in_another_order_are_refused_unless_a_flag_names_the_ids(tmp_path, sample):
    same = several_tables(tmp_path / "same.fits", sample, np.arange(N))
    np.testing.assert_array_equal(Galaxies(Request((same,))).read(0, N).redshifts, sample.redshifts)
    assert list(Galaxies(Request((same,))).read(0, N).columns) == ["objid", "ra"]  # the name that a catalogue has
    other = several_tables(tmp_path / "other.fits", sample, np.arange(N)[::-1])
    with pytest.raises(PartitionMalformed, match=r"another galaxy in row 0 of PHOT\.objid than of SPEC\.objid: join"):
        Galaxies(Request((other,)))
    read = Galaxies(Request((other,), id="PHOT.objid")).read(0, N)
    assert read.redshifts[0] == sample.redshifts[-1]
    assert list(read.columns) == ["PHOT.objid", "ra", "SPEC.objid"]


@pytest.mark.parametrize("band", ["extinction_g", "dered_i"])
def test_photometry_of_a_band_with_more_rows_is_refused(tmp_path, sample, band):
    columns = catalogue(sample) | {f"extinction_{b}": np.full(N, 0.1) for b in "ugriz"}
    columns[band] = np.append(columns[band], 0.1)
    np.savez(tmp_path / "a.npz", images=sample.images, bands=list("ugriz"), **columns)
    with pytest.raises(PartitionMalformed, match=rf"another number of rows in {band} float\d\d \[13\]"):
        Galaxies(Request((tmp_path / "a.npz",), photometry=PhotometryFlags(extinction="extinction_{band}")))


def test_floating_point_ids_are_told(tmp_path, sample):
    columns = {**catalogue(sample), "objid": sample.ids.astype("f8")}
    np.savez(tmp_path / "a.npz", images=sample.images, bands=list("ugriz"), **columns)
    (warning,) = Galaxies(Request((tmp_path / "a.npz",))).warnings
    assert "objid holds floating-point numbers, which round long ids" in warning
