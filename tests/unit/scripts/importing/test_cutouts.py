import re
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from lambda_image.data.file_content import Column
from lambda_image.errors import PartitionMalformed, UsageError
from scripts.importing.contents import TEXT, Contents
from scripts.importing.cutouts import CutoutImages, is_pattern
from scripts.importing.images import PixelFlags
from tests.unit.scripts.importing.cutout_files import legacy

N = 12
NO_FLAGS = PixelFlags()
LINUX = pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="a file that cannot be read is had on Linux")


def catalogue(sample, **more: np.ndarray) -> Contents:
    arrays = {"objid": sample.ids, "ra": sample.ra, **more}
    columns = {
        name: Column(
            TEXT if array.dtype.kind == "S" else array.dtype.name,
            array.shape,
            lambda start, stop, array=array: array[start:stop],
        )
        for name, array in arrays.items()
    }
    return Contents("cat.fits", "test", columns)


def opened(sample, pattern: Path | str, flags: PixelFlags = NO_FLAGS, folder: Path = Path()) -> CutoutImages:
    return CutoutImages(catalogue(sample), str(pattern), folder, N, flags)


def test_a_file_of_the_legacy_surveys_for_each_galaxy(tmp_path, sample):
    for row in range(N):
        order = "zirgu" if row % 2 else "ugriz"
        image = sample.wide[row, ::-1] if row % 2 else sample.wide[row]
        legacy(image, order).writeto(tmp_path / f"cutout_{sample.ra[row]:.4f}.fits")
    source = opened(sample, tmp_path / "cutout_{ra:.4f}.fits")
    np.testing.assert_array_equal(source.read(2, 9), sample.images[2:9])
    assert source.pixel_scale == pytest.approx(0.262)
    assert "the centre 32 x 32 of 40 x 40 pixels" in source.notes


def test_a_file_for_each_band(tmp_path, sample):
    for row in range(N):
        for place, band in enumerate("ugriz"):
            np.save(tmp_path / f"{sample.ids[row]}-{band.upper()}.npy", sample.images[row, place])
    np.testing.assert_array_equal(opened(sample, tmp_path / "{objid}-{band}.npy").read(0, N), sample.images)


def test_bands_that_a_file_does_not_name_are_asked_for(tmp_path, sample):
    for row in range(N):
        np.save(tmp_path / f"{sample.ids[row]}.npy", sample.images[row, ::-1])
    with pytest.raises(UsageError, match=r"does not name the bands of \d+ float32 \[5, 32, 32\].*--bands"):
        opened(sample, tmp_path / "{objid}.npy")
    source = opened(sample, tmp_path / "{objid}.npy", PixelFlags(bands=tuple("zirgu")))
    np.testing.assert_array_equal(source.read(0, N), sample.images)


def test_a_galaxy_without_a_file_has_no_image_and_is_told_before(tmp_path, sample):
    for row in range(N):
        if row not in (4, 7):
            legacy(sample.images[row]).writeto(tmp_path / f"{sample.ids[row]}.fits")
    source = opened(sample, tmp_path / "{objid}.fits")
    read = source.read(0, N)
    assert np.isnan(read).all(axis=(1, 2, 3)).nonzero()[0].tolist() == [4, 7]
    assert any(f"2 of 12 galaxies will be flagged, as {tmp_path}" in note for note in source.notes)


def test_files_lie_beside_the_catalogue_or_where_a_column_says(tmp_path, sample):
    names = [f"stamp {row}.fits" for row in range(N)]
    for row, name in enumerate(names):
        legacy(sample.images[row]).writeto(tmp_path / name)
    found = catalogue(sample, path=np.array(names, "S"))
    source = CutoutImages(found, "{path}", tmp_path, N, NO_FLAGS)
    np.testing.assert_array_equal(source.read(0, N), sample.images)


def test_a_galaxy_without_what_names_its_file_has_no_image(tmp_path, sample):
    ids = np.ma.MaskedArray(sample.ids, np.arange(N) == 3)
    names = np.array([b"" if row == 4 else str(value).encode() for row, value in enumerate(sample.ids.tolist())])
    for value in sample.ids:  # also under the number that stands where an id is missing
        legacy(sample.images[0]).writeto(tmp_path / f"{value}.fits")
    for columns, row, pattern in (({"objid": ids}, 3, "{objid}.fits"), ({"name": names}, 4, "{name}.fits")):
        source = CutoutImages(catalogue(sample, **columns), pattern, tmp_path, N, NO_FLAGS)
        assert np.isnan(source.read(0, N)).all(axis=(1, 2, 3)).nonzero()[0].tolist() == [row]
        assert f"1 of 12 galaxies will be flagged, as row {row} has no {pattern[1:-6]}" in source.notes


def test_a_missing_file_is_told_where_it_is_looked_for(tmp_path, sample, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stamps").mkdir()
    for row in range(1, N):
        legacy(sample.images[row]).writeto(tmp_path / "stamps" / f"{sample.ids[row]}.fits")
    source = opened(sample, "stamps/{objid}.fits", folder=Path("stamps"))
    assert any(f"flagged, as stamps/{sample.ids[0]}.fits is not there" in note for note in source.notes)


def test_the_band_is_told_whose_file_is_missing(tmp_path, sample):
    for row, band in ((row, band) for row in range(2) for band in range(5)):
        if (row, band) != (1, 1):
            fits.PrimaryHDU(sample.images[row, band]).writeto(tmp_path / f"{sample.ids[row]}-{'ugriz'[band]}.fits")
    source = CutoutImages(catalogue(sample), f"{tmp_path}/{{objid}}-{{band}}.fits", Path(), N, NO_FLAGS)
    assert f"11 of 12 galaxies will be flagged, as {tmp_path}/{sample.ids[1]}-g.fits is not there" in source.notes


@pytest.mark.parametrize(("other", "refused"), [("nJy", True), ("nmgy", False), ("counts", True), (None, False)])
def test_all_files_have_one_unit(tmp_path, sample, other, refused):
    for row in range(N):
        hdus = legacy(sample.images[row])
        if (unit := other if row == 5 else "nanomaggy") is not None:
            hdus[0].header["BUNIT"] = unit
        hdus.writeto(tmp_path / f"{sample.ids[row]}.fits")
    source = opened(sample, tmp_path / "{objid}.fits")
    assert source.units == ("nanomaggy",)
    if refused:
        named = rf"{sample.ids[5]}\.fits has the unit {other}, and .*fits has nanomaggy: .* --unit which one"
        with pytest.raises(UsageError, match=named):
            source.read(0, N)
        source = CutoutImages(catalogue(sample), f"{tmp_path}/{{objid}}.fits", Path(), N, NO_FLAGS, "nJy")
    np.testing.assert_array_equal(source.read(0, N), sample.images)


def test_one_of_several_images_of_a_file_is_named_behind_the_pattern(tmp_path, sample):
    for row in range(N):
        hdus = [fits.PrimaryHDU(sample.images[0]), fits.ImageHDU(sample.images[row], name="SCI")]
        hdus[1].header["BANDS"] = "ugriz"
        fits.HDUList(hdus).writeto(tmp_path / f"{sample.ids[row]}.fits")
    source = opened(sample, f"{tmp_path}/{{objid}}.fits[SCI]")
    np.testing.assert_array_equal(source.read(0, N), sample.images)


def test_what_leads_nowhere_is_refused(tmp_path, sample):
    with pytest.raises(UsageError, match=r"no galaxy has a file, as .*nowhere/\d+\.fits is not there"):
        opened(sample, tmp_path / "nowhere/{objid}.fits")
    with pytest.raises(UsageError, match=r"--images objname: cat\.fits has no such array"):
        opened(sample, tmp_path / "{objname}.fits")
    for pattern in ("{objid.__class__}.fits", "{objid[0]}.fits", "{0}.fits", "{objid!r}.fits"):
        with pytest.raises(UsageError, match="is no name of a column"):
            opened(sample, tmp_path / pattern)
    with pytest.raises(UsageError, match="--images"):
        opened(sample, tmp_path / "{objid.fits")


def spoil(path: Path, how: str, image: np.ndarray) -> None:
    match how:
        case "unreadable":
            path.unlink()
            path.symlink_to("/proc/self/mem")  # whose beginning the kernel refuses to read, as a disk does that fails
        case "cut off":
            path.write_bytes(path.read_bytes()[:-9000])
        case "empty":
            path.write_bytes(b"")
        case "a page about an error":
            path.write_text("<html><body>504 Gateway Time-out</body></html>")
        case "too small":
            legacy(image[:, :31]).writeto(path, overwrite=True)
        case "text":
            with path.open("wb") as file:
                np.save(file, np.full((5, 32, 32), "0.1"))
        case "three bands":
            legacy(image[:3], "ugr").writeto(path, overwrite=True)


@pytest.mark.parametrize(
    ("how", "named"),
    [
        ("cut off", "is cut off"),
        pytest.param("unreadable", "cannot be read: Input/output error", marks=LINUX),
        ("empty", "it is empty"),
        ("a page about an error", r"it is a page of a web site \(HTML\): fetch the file again"),
        ("too small", "has images of 31 x 32 pixels"),
        ("three bands", "lacks the bands i, z; found: u, g, r"),
        ("text", r"has no single image \[bands, rows, columns\].* text \[5, 32, 32\]"),
    ],
)
def test_a_cutout_that_cannot_be_used_costs_its_galaxy_the_image_and_no_other(tmp_path, sample, how, named):
    paths = [tmp_path / f"{sample.ids[row]}.fits" for row in range(N)]
    for row, path in enumerate(paths):
        legacy(sample.images[row]).writeto(path)
    for row in (5, 7):
        spoil(paths[row], how, sample.images[row])
    source = opened(sample, tmp_path / "{objid}.fits")
    assert source.told() == []
    for _ in range(2):  # the first rows are read twice, since they are looked at before
        images = source.read(0, N)
    assert np.isnan(images).all(axis=(1, 2, 3)).nonzero()[0].tolist() == [5, 7]
    np.testing.assert_array_equal(np.delete(images, [5, 7], 0), np.delete(sample.images, [5, 7], 0))
    (said,) = source.told()
    assert said.startswith(f"2 cut-outs cannot be used, and their galaxies are flagged: the first one, {paths[5]}")
    assert re.search(named, said)


@pytest.mark.parametrize("how", ["empty", "cut off", "too small", "three bands"])
@pytest.mark.parametrize("spoilt", [[0], [0, 1, 2, 3, 4, 5], [0, 2, 4, 6, 8, 10]])
def test_the_first_cutouts_may_be_those_that_cannot_be_used(tmp_path, sample, how, spoilt):
    for row in range(N):
        path = tmp_path / f"{sample.ids[row]}.fits"
        legacy(sample.images[row]).writeto(path)
        if row in spoilt:
            spoil(path, how, sample.images[row])
    source = opened(sample, tmp_path / "{objid}.fits")
    images = source.read(0, N)
    assert np.isnan(images).all(axis=(1, 2, 3)).nonzero()[0].tolist() == spoilt
    np.testing.assert_array_equal(np.delete(images, spoilt, 0), np.delete(sample.images, spoilt, 0))
    assert re.match(rf"{len(spoilt)} cut-outs? cannot be used, .*{sample.ids[0]}\.fits", source.told()[0])


@pytest.mark.parametrize(
    ("how", "error", "named"),
    [
        (
            "empty",
            PartitionMalformed,
            r"--images .*: no cut-out can be read, so fetch .* first one, {path}: it is empty",
        ),
        ("three bands", UsageError, r"{path} lacks the bands i, z"),
    ],
)
def test_cutouts_of_which_none_can_be_used_are_refused(tmp_path, sample, how, error, named):
    for row in range(1, N):
        spoil(tmp_path / f"{sample.ids[row]}.fits", how, sample.images[row])
    with pytest.raises(error, match=named.format(path=re.escape(f"{tmp_path}/{sample.ids[1]}.fits"))):
        opened(sample, tmp_path / "{objid}.fits")


def test_damage_that_only_reading_tells_is_told_before_anything_is_written(tmp_path, sample):
    for row in range(N):
        path = tmp_path / f"{sample.ids[row]}.npz"
        np.savez_compressed(path, image=sample.images[row])
        content = bytearray(path.read_bytes())
        content[3000:3100] = bytes(100)
        path.write_bytes(content)
    with pytest.raises(PartitionMalformed, match="no cut-out can be read"):
        opened(sample, tmp_path / "{objid}.npz", PixelFlags(bands=tuple("ugriz")))


def test_a_cutout_that_goes_after_it_was_looked_for_costs_its_galaxy_the_image(tmp_path, sample):
    gone = list[Path]()

    class Late(CutoutImages):
        """Opens a file when it may have gone."""

        def _files(self, values):
            found = super()._files(values)
            for path in gone:
                path.unlink(missing_ok=True)
            return found

    paths = [tmp_path / f"{sample.ids[row]}.fits" for row in range(N)]
    for row, path in enumerate(paths):
        legacy(sample.images[row]).writeto(path)
    source = Late(catalogue(sample), f"{tmp_path}/{{objid}}.fits", Path(), N, NO_FLAGS)
    paths[8].unlink()
    assert np.isnan(source.read(6, N)).all(axis=(1, 2, 3)).nonzero()[0].tolist() == [2]
    assert source.told()[0].endswith(f"{paths[8]} is not there any more")
    gone.append(paths[5])
    assert np.isnan(source.read(5, 6)).all()
    assert source.told()[0].startswith("2 cut-outs cannot be used")


@pytest.mark.parametrize("named", [[], [0], range(N)])
def test_a_cutout_that_names_another_order_is_not_read_in_that_of_a_flag(tmp_path, sample, named):
    for row in range(N):
        image = legacy(sample.images[row], "ugriz" if row in named else "")
        (image if row != 5 else legacy(sample.images[row, ::-1], "zirgu")).writeto(tmp_path / f"{sample.ids[row]}.fits")
    source = opened(sample, tmp_path / "{objid}.fits", PixelFlags(bands=tuple("ugriz")))
    images = source.read(0, N)
    assert np.isnan(images).all(axis=(1, 2, 3)).nonzero()[0].tolist() == [5]
    np.testing.assert_array_equal(np.delete(images, 5, 0), np.delete(sample.images, 5, 0))
    assert re.search(r"has the bands z, i, r, g, u, and others have u, g, r, i, z: bring all", source.told()[0])


def test_a_cutout_with_pixels_of_another_width_is_told(tmp_path, sample):
    for row in range(N):
        hdus = legacy(sample.images[row])
        if row == 5:
            hdus[0].header["CD1_1"], hdus[0].header["CD2_2"] = -0.396 / 3600, 0.396 / 3600
        hdus.writeto(tmp_path / f"{sample.ids[row]}.fits")
    source = opened(sample, tmp_path / "{objid}.fits")
    np.testing.assert_array_equal(source.read(0, N), sample.images)
    path = tmp_path / f"{sample.ids[5]}.fits"
    usual = tmp_path / f"{sample.ids[0]}.fits"
    assert source.told() == [f'1 cut-out has pixels of another width: {path} has 0.396", and {usual} has 0.262"']


@pytest.mark.parametrize("unit", ["nanomaggy", "nJy"])
def test_the_band_is_told_whose_pixels_are_others(tmp_path, sample, unit):
    for row, band in ((row, band) for row in range(N) for band in range(5)):
        image = fits.PrimaryHDU(sample.images[row, band])
        odd = (row, band) == (5, 3)
        image.header.update({"BUNIT": unit if odd else "nanomaggy", "PIXSCALE": 0.262 if odd else 0.396})
        image.writeto(tmp_path / f"{sample.ids[row]}-{'ugriz'[band]}.fits")
    source = opened(sample, tmp_path / "{objid}-{band}.fits")
    odd, first = f"{tmp_path}/{sample.ids[5]}-i.fits", f"{tmp_path}/{sample.ids[0]}-u.fits"
    if unit != "nanomaggy":
        with pytest.raises(UsageError, match=rf"^{odd} has the unit nJy, and {first} has nanomaggy"):
            source.read(0, N)
        return
    np.testing.assert_array_equal(source.read(0, N), sample.images)
    assert source.told() == [f'1 cut-out has pixels of another width: {odd} has 0.262", and {first} has 0.396"']


@pytest.mark.parametrize(
    ("given", "pattern"),
    [
        *(("images", False), ("image_{band}", False), ("{band}", False), ("{objid}.fits", True), ("{path}", True)),
        *(("a/{objid}", True), ("stamps/{band}.npy", True), ("{objid}-{band}.fits", True)),
    ],
)
def test_patterns_of_files_are_told_from_names_of_arrays(given, pattern):
    assert is_pattern(given) == pattern
