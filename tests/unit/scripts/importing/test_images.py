from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lambda_image.data.file_content import Column
from lambda_image.errors import PartitionMalformed, UsageError
from scripts.importing.choosing import choose_images
from scripts.importing.contents import Contents, dtype_name
from scripts.importing.images import ArrayImages, PixelFlags, checked_length

N = 12
NO_FLAGS = PixelFlags()


def contents(bands: dict[str, tuple[str, ...]] | None = None, **arrays: np.ndarray) -> Contents:
    columns = {
        name: Column(dtype_name(array.dtype), array.shape, lambda start, stop, array=array: array[start:stop])
        for name, array in arrays.items()
    }
    return Contents("a.file", "test", columns, bands or {})


def images(found: Contents, flags: PixelFlags = NO_FLAGS) -> ArrayImages:
    return ArrayImages(found, choose_images(found, None), flags)


def test_bands_are_put_into_the_models_order_by_their_names(sample):
    order = [3, 0, 4, 2, 1]
    shuffled = np.insert(sample.images[:, order], 2, 7, axis=1)  # with another band among them
    names = ("SDSS-I", "sdss-u", "y", "des-Z", "r", "G")
    read = images(contents({"images": names}, images=shuffled)).read(2, 7)
    np.testing.assert_array_equal(read, sample.images[2:7])


def test_bands_may_be_the_last_axis(sample):
    last = np.moveaxis(sample.wide, 1, 3)[..., ::-1]
    read = images(contents({"images": tuple("zirgu")}, images=last)).read(0, N)
    np.testing.assert_array_equal(read, sample.images)


def test_bands_may_have_an_array_each(sample):
    arrays = {f"image_{band.upper()}": sample.images[:, place] for place, band in reversed([*enumerate("ugriz")])}
    np.testing.assert_array_equal(images(contents(**arrays)).read(1, 5), sample.images[1:5])


def test_bands_may_have_units_of_their_own_which_are_all_told(sample):
    arrays = {f"image_{band}": sample.images[:, place] for place, band in enumerate("ugriz")}
    found = replace(contents(**arrays), units={"image_u": "nJy", "image_g": "uJy"})
    assert images(found).units == ("nJy", "uJy", None)


@pytest.mark.parametrize("names", [["u", "g", "r", "i", "z"], ["sdss-z", "sdss-i", "sdss-r", "sdss-g", "sdss-u"]])
@pytest.mark.parametrize("shape", ["one", "by row"])
def test_bands_may_stand_in_an_array_beside(sample, names, shape):
    ordered = sample.images if names[0] == "u" else sample.images[:, ::-1]
    words = np.array(names, "S") if shape == "one" else np.array([names] * N, "S")
    np.testing.assert_array_equal(
        images(contents(image_array=ordered, image_band=words)).read(3, 9), sample.images[3:9]
    )


@pytest.mark.parametrize("mixed", [False, True])
def test_a_galaxy_that_names_no_bands_has_no_image(sample, mixed):
    words, given = np.array([list("ugriz")] * N, "S1"), sample.images.copy()
    words[[0, 1, 5]] = b""
    if mixed:
        words[4], given[4] = words[4][::-1].copy(), given[4, ::-1].copy()
    source = images(contents(image_array=given, image_band=words))
    for start, stop in ((0, N), (0, 2), (3, 7)):
        expected = np.where((words[:, 0] == b"")[:, None, None, None], np.nan, sample.images)[start:stop]
        np.testing.assert_array_equal(source.read(start, stop), expected)
    with pytest.raises(UsageError, match=r"a\.file does not name the bands of"):
        images(contents(image_array=given, image_band=np.full((N, 5), b"")))


def test_rows_may_have_their_bands_in_different_orders(sample):
    words, mixed = np.array([list("ugriz")] * N, "S1"), sample.images.copy()
    words[4], mixed[4] = words[4][::-1].copy(), mixed[4, ::-1].copy()
    np.testing.assert_array_equal(images(contents(image_array=mixed, image_band=words)).read(0, N), sample.images)


def test_bands_that_nothing_names_are_asked_for_and_never_assumed(sample):
    found = contents(images=sample.images)
    with pytest.raises(
        UsageError, match=r"does not name the bands of images float32 \[12, 5, 32, 32\].*--bands u,g,r,i,z"
    ):
        images(found)
    found.nameless["images"] = Path("second.fits")
    with pytest.raises(UsageError, match=r"^second\.fits does not name the bands of images"):
        images(found)
    flags = PixelFlags(bands=tuple("zirgu"))
    np.testing.assert_array_equal(images(found, flags).read(0, N), sample.images[:, ::-1])
    with pytest.raises(UsageError, match=r"images \[12, 5, 32, 32\] has no axis of 4 bands"):
        images(found, PixelFlags(bands=tuple("griz")))
    with pytest.raises(UsageError, match=r"images of a\.file lacks the band u; found: y, g, r, i, z"):
        images(found, PixelFlags(bands=tuple("ygriz")))


@pytest.mark.parametrize(("height", "width"), [(32, 32), (33, 40), (64, 64), (151, 35)])
def test_the_centre_of_larger_images_is_taken(height, width):
    whole = np.random.default_rng(0).random((2, 5, height, width), np.float32)
    source = images(contents({"images": tuple("ugriz")}, images=whole))
    top, left = (height - 32) // 2, (width - 32) // 2
    np.testing.assert_array_equal(source.read(0, 2), whole[:, :, top : top + 32, left : left + 32])
    assert any("the centre 32 x 32" in note for note in source.notes) == (height != 32)


def test_smaller_images_are_refused():
    with pytest.raises(UsageError, match="images has images of 31 x 40 pixels, and the model takes 32 x 32"):
        images(contents({"images": tuple("ugriz")}, images=np.zeros((2, 5, 31, 40), np.float32)))


@pytest.mark.parametrize("shape", ["per band", "for all bands"])
@pytest.mark.parametrize(("value", "good"), [(1, 0), (0, 1), (4, 0)])
def test_masked_pixels_are_missing_and_not_zero(sample, shape, value, good):
    mask = np.full((N, 5, 36, 36), good if value != 4 else 0)
    mask[3, 1 if shape == "per band" else slice(None), 5, 6] = value
    mask = mask if shape == "per band" else mask[:, 0]
    wide = np.pad(sample.images, ((0, 0), (0, 0), (2, 2), (2, 2)))
    bands = {"images": tuple("ugriz")}
    source = images(contents(bands, images=wide, image_mask=mask), PixelFlags(good_mask=good))
    read = source.read(2, 5)
    missing = np.isnan(read)
    assert missing.sum() == (1 if shape == "per band" else 5)
    assert missing[1, 1, 3, 4]
    np.testing.assert_array_equal(read[~missing], sample.images[2:5][~missing])
    assert f"missing where image_mask is not {good}" in source.notes


def test_pixels_without_weight_are_missing(sample):
    ivar = np.ones_like(sample.images)
    ivar[3, 1, 5, 6], ivar[3, 2, 5, 6], ivar[4, 0, 0, 0] = 0, np.nan, -1
    read = images(contents({"images": tuple("ugriz")}, images=sample.images, ivar=ivar)).read(0, N)
    assert np.argwhere(np.isnan(read)).tolist() == [[3, 1, 5, 6], [3, 2, 5, 6], [4, 0, 0, 0]]
    named = images(contents({"images": tuple("ugriz")}, images=sample.images, ivar=ivar), PixelFlags(ivar="none"))
    assert not np.isnan(named.read(0, N)).any()


def test_masked_arrays_of_a_reader_are_missing(sample):
    masked = np.ma.MaskedArray(sample.images, np.zeros(sample.images.shape, bool))
    masked.mask[1, 2, 3, 4] = True
    read = images(contents({"images": tuple("ugriz")}, images=masked)).read(0, 3)
    assert np.argwhere(np.isnan(read)).tolist() == [[1, 2, 3, 4]]


def test_the_multimodal_universes_mask_marks_good_pixels(sample):
    words, mask = np.array([list("ugriz")] * N, "S1"), np.ones((N, 32, 32), bool)
    mask[0, 9, 9] = False
    source = images(contents(image_array=sample.images, image_band=words, image_mask=mask))
    assert np.isnan(source.read(0, N)).sum() == 5
    assert "missing where image_mask is not 1" in source.notes


@pytest.mark.parametrize("multimodal", [True, False])
def test_a_mask_that_is_read_the_wrong_way_round_is_refused(sample, multimodal):
    mask = np.full(sample.images.shape, not multimodal)
    arrays = {"images": sample.images, "image_mask": mask}
    arrays |= {"image_band": np.array([list("ugriz")] * N, "S1")} if multimodal else {}
    found = contents({"images": tuple("ugriz")}, **arrays)
    other = 0 if multimodal else 1
    with pytest.raises(UsageError, match=f"image_mask would mark 100% of the pixels.*--good-mask {other}"):
        images(found)
    assert not np.isnan(images(found, PixelFlags(good_mask=other)).read(0, N)).any()
    assert not np.isnan(images(found, PixelFlags(mask="none")).read(0, N)).any()


def test_a_mask_of_another_shape_is_refused_where_it_is_named(sample):
    found = contents({"images": tuple("ugriz")}, images=sample.images, m=np.zeros((N, 30, 30)))
    with pytest.raises(UsageError, match=r"--mask m: \[12, 5, 32, 32\] or \[12, 32, 32\] is needed, and it is m"):
        images(found, PixelFlags(mask="m"))


@pytest.mark.parametrize("dtype", ["float64", "int16", "uint8", "float16"])
def test_any_numbers_are_images(dtype):
    whole = (np.random.default_rng(0).random((2, 5, 32, 32)) * 100).astype(dtype)
    read = images(contents({"images": tuple("ugriz")}, images=whole)).read(0, 2)
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, whole.astype(np.float32))


def test_the_scale_of_pixels_may_stand_beside(sample):
    words, scale = np.array([list("ugriz")] * N, "S1"), np.full((N, 5), 0.262, np.float32)
    found = contents(image_array=sample.images, image_band=words, image_scale=scale)
    assert images(found).pixel_scale == pytest.approx(0.262)
    for missing in (0, np.nan):  # as of a galaxy without images
        scale[0] = missing
        assert images(found).pixel_scale == pytest.approx(0.262)


def test_other_numbers_of_images_than_of_rows_are_refused(sample):
    source = images(contents({"images": tuple("ugriz")}, images=sample.images))
    checked_length(source, N, "cat.fits")
    with pytest.raises(PartitionMalformed, match=r"cat\.fits has 13 rows, and there are 12 images"):
        checked_length(source, 13, "cat.fits")
