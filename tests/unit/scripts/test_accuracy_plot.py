from pathlib import Path

import numpy as np
import pytest

from lambda_image.metrics import accuracy
from scripts.accuracy_plot import draw

TRUE = np.linspace(0.01, 0.3, 200, dtype=np.float32)


def test_the_measures_stand_in_the_picture(tmp_path: Path):
    predicted, file = TRUE + 0.001, tmp_path / "inference.svg"
    assert draw(predicted, TRUE, accuracy(predicted, TRUE), file)
    assert "200 galaxies" in (text := file.read_text())
    assert "R²" in text


@pytest.mark.parametrize("count", [1, 2])
def test_the_fewest_galaxies_can_be_drawn(tmp_path: Path, count: int):
    file = tmp_path / "inference.png"
    assert draw(TRUE[:count], TRUE[:count], accuracy(TRUE[:count], TRUE[:count]), file)
    assert file.read_bytes().startswith(b"\x89PNG")


def test_galaxies_that_cannot_be_judged_are_left_out(tmp_path: Path):
    predicted, true, file = TRUE.copy(), TRUE.copy(), tmp_path / "inference.svg"
    predicted[0], true[1] = np.nan, -9999
    assert draw(predicted, true, accuracy(predicted, true), file)
    assert "198 galaxies" in file.read_text()


def test_without_true_redshifts_nothing_is_drawn(tmp_path: Path):
    unknown = np.full_like(TRUE, np.nan)
    assert not draw(TRUE, unknown, accuracy(TRUE, unknown), tmp_path / "inference.png")
    assert not list(tmp_path.iterdir())
