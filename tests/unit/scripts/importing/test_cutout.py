from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from lambda_image.errors import UsageError
from scripts.importing.cutout import Cutout
from scripts.importing.images import PixelFlags
from tests.unit.scripts.importing.cutout_files import legacy, of_rubin

ROW = 5
NO_FLAGS = PixelFlags()
PLANES = {"BAD": 0, "SAT": 1, "INTRP": 2, "CR": 3, "DETECTED": 5, "DETECTED_NEGATIVE": 6, "NO_DATA": 8}


def cutout(hdus: fits.HDUList, folder: Path, flags: PixelFlags = NO_FLAGS, array: str | None = None) -> Cutout:
    hdus.writeto(folder / "one.fits")
    return Cutout([folder / "one.fits"], array, flags)


def test_pixels_without_weight_and_saturated_ones_are_missing_in_their_band(tmp_path, sample):
    ivar, bits = np.ones((5, 40, 40), "f4"), np.zeros((40, 40), "i2")
    ivar[2, 20, 21] = 0
    bits[10, 11] = 1 << 2  # saturated in g
    bits[12, 13] = 1 << 7  # bad in all exposures in z
    bits[14, 15] = 1 << 14  # saturated in i
    bits[16, 17] = 1 << 12 | 1  # on a large galaxy, and outside of the brick: good pixels
    image = cutout(legacy(sample.wide[ROW], ivar=ivar, bits=bits), tmp_path).image()
    assert np.argwhere(np.isnan(image)).tolist() == [[1, 6, 7], [2, 16, 17], [3, 10, 11], [4, 8, 9]]
    good = ~np.isnan(image)
    np.testing.assert_array_equal(image[good], sample.images[ROW][good])


@pytest.mark.parametrize(
    ("planes", "good", "missing"),
    [
        (PLANES, None, [[20, 21], [22, 23], [24, 25]]),
        # As each file says, and not by habit.
        ({**PLANES, "SAT": 5, "DETECTED": 1}, None, [[0, 0], [20, 21], [24, 25]]),
        ({"DETECTED": 5}, None, [[0, 0], [20, 21], [22, 23], [24, 25], [26, 27]]),
        ({**PLANES, "BAD": -1, "SAT": 2000, "NO_DATA": 8}, None, [[24, 25]]),  # no bits
        (PLANES, 0, [[0, 0], [20, 21], [22, 23], [24, 25], [26, 27]]),  # as --good-mask 0 says
    ],
)
def test_pixels_of_a_detected_source_are_good_where_a_mask_names_its_bits(tmp_path, sample, planes, good, missing):
    mask = np.zeros((32, 32), "i4")
    mask[20, 21], mask[22, 23], mask[24, 25] = 1 << 0, 1 << 1 | 1 << 2, 1 << 8
    mask[26, 27], mask[0, 0] = 1 << 3 | 1 << 2, 1 << 5
    paths = [tmp_path / f"{band}.fits" for band in "ugriz"]
    for place, path in enumerate(paths):
        of_rubin(sample.images[ROW, place], mask if place == 2 else 0 * mask, **planes).writeto(path)
    one = Cutout(paths, None, PixelFlags(good_mask=good))
    image = one.image()
    assert np.argwhere(np.isnan(image)).tolist() == [[2, *place] for place in missing]
    np.testing.assert_array_equal(np.delete(image, 2, 0), np.delete(sample.images[ROW], 2, 0))
    assert ("missing where MASK says bad, saturated or without data" in one.notes) == (len(missing) < 5)


def test_one_of_several_images_of_a_file_is_named(tmp_path, sample):
    hdus = fits.HDUList(
        [fits.PrimaryHDU(), fits.ImageHDU(sample.images[ROW], name="SCI"), fits.ImageHDU(sample.images[0], name="X")]
    )
    hdus[1].header["BANDS"] = "ugriz"
    with pytest.raises(
        UsageError, match=r"has no single image \[bands, rows, columns\].*found: SCI float32.*X float32"
    ):
        cutout(hdus, tmp_path)
    one = Cutout([tmp_path / "one.fits"], "SCI", NO_FLAGS)
    np.testing.assert_array_equal(one.image(), sample.images[ROW])
    assert (one.bands, one.source, one.pixels) == (tuple("ugriz"), "the file", 32 * 32)


def test_an_image_has_numbers(tmp_path):
    np.savez(tmp_path / "one.npz", sci=np.full((5, 32, 32), "0.1"))
    with pytest.raises(UsageError, match=r"one\.npz: sci text \[5, 32, 32\] holds no numbers"):
        Cutout([tmp_path / "one.npz"], "sci", PixelFlags(bands=tuple("ugriz")))


@pytest.mark.parametrize(("flag", "given"), [("ivar", "weight"), ("mask", "flags")])
def test_a_mask_that_is_asked_for_must_be_there(tmp_path, sample, flag, given):
    hdus = legacy(sample.images[ROW], ivar=np.ones((5, 32, 32), "f4"))
    with pytest.raises(UsageError, match=rf"--{flag} {given}: .*fits has no such array .*found: PRIMARY .*, INVVAR"):
        cutout(hdus, tmp_path, PixelFlags(**{flag: given}))
