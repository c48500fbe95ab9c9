"""Networks of other bands and sides take their galaxies from the same files."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from lambda_image.data.dataset import read_dataset
from lambda_image.errors import UsageError
from scripts.cli import main
from scripts.importing.bands import templates
from scripts.importing.galaxies import Galaxies, Request
from scripts.importing.images import PixelFlags
from scripts.importing.magnitudes import PhotometryFlags
from scripts.importing.wanted import PUBLISHED, Wanted

N = 12
SURVEY = ("g", "r", "i", "z", "y", "w1")


@pytest.fixture
def survey(tmp_path, sample) -> Path:
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file["image_array"] = np.pad(sample.images, ((0, 0), (0, 1), (20, 20), (20, 20)))
        file["image_band"] = np.array([[f"hsc-{band}" for band in SURVEY]] * N, "S6")
        for place, band in enumerate(SURVEY):
            file[f"{band}_cmodel_mag"] = sample.magnitudes[:, place % 5] + place // 5
    return tmp_path / "a.hdf5"


def read(path: Path, wanted: Wanted, **flags: object):
    return Galaxies(
        Request((path,), pixels=PixelFlags(wanted=wanted), photometry=PhotometryFlags(wanted=wanted, **flags))
    )


@pytest.mark.parametrize(
    ("bands", "side"), [(("z", "i", "r", "g"), 32), (("g", "r", "i", "z", "y", "w1"), 64), (("w1", "g"), 72)]
)
def test_other_bands_and_sides(survey, sample, bands, side):
    galaxies = read(survey, Wanted(bands, side))
    part = galaxies.read(2, 7)
    places = [SURVEY.index(band) for band in bands]
    whole = np.pad(sample.images, ((0, 0), (0, 1), (20, 20), (20, 20)))[:, places]
    begin = (72 - side) // 2
    np.testing.assert_array_equal(part.images, whole[2:7, :, begin : begin + side, begin : begin + side])
    magnitudes = np.column_stack([sample.magnitudes[:, place % 5] + place // 5 for place in places])
    np.testing.assert_allclose(part.magnitudes, magnitudes[2:7], rtol=1e-6)


def test_what_a_file_lacks_of_other_sizes_is_refused(survey):
    with pytest.raises(UsageError, match="lacks the band u; found: hsc-g, hsc-r, hsc-i, hsc-z, hsc-y, hsc-w1"):
        read(survey, PUBLISHED)
    with pytest.raises(UsageError, match="images of 72 x 72 pixels, and the model takes 80 x 80"):
        read(survey, Wanted(("g", "r"), 80))
    with pytest.raises(UsageError, match="SDSS has no asinh magnitudes in y, w1"):
        read(survey, Wanted(SURVEY), system="asinh", fluxes="{band}_cmodel_mag").read(0, N)


def test_templates_follow_the_bands():
    names = [f"FLUX_{band}" for band in ("G", "R", "Z", "W1", "W2")]
    assert set(templates(names, Wanted(("g", "w1", "w2")))[0].names) == {"g", "w1", "w2"}
    assert set(templates(names)[0].names) == {"g", "r", "z"}


def test_the_command_takes_the_bands_and_the_side_of_a_model(survey, tmp_path):
    flags = ["--model-bands", "g,r,i,z,y,w1", "--side", "64", "--magnitudes", "{band}_cmodel_mag"]
    assert main(["import", str(survey), "--out", str(tmp_path / "parts"), *flags]) == 0
    galaxies = read_dataset(tmp_path / "parts")
    assert galaxies.images.shape == (N, 6, 64, 64)
    assert galaxies.magnitudes.shape == (N, 6)


@pytest.mark.parametrize(
    "flags", [["--side", "0"], ["--side", "5000"], ["--model-bands", "g,,r"], ["--model-bands", "g,g"]]
)
def test_a_model_that_cannot_be_is_refused(survey, tmp_path, capsys, flags):
    assert main(["import", str(survey), "--out", str(tmp_path / "parts"), *flags]) == 2
    assert f"{flags[0]} is" in capsys.readouterr().err
    assert not (tmp_path / "parts").exists()
