import re
from pathlib import Path

import numpy as np
import pytest

from lambda_image.metrics import accuracy
from scripts.accuracy_plot import BINS, SINGLE, AxisLimits, Panel, draw

TRUE = np.linspace(0.01, 0.3, 200, dtype=np.float32)


def test_the_measures_stand_in_the_picture(tmp_path: Path):
    predicted, file = TRUE + 0.001, tmp_path / "inference.svg"
    assert draw(predicted, TRUE, accuracy(predicted, TRUE), file)
    assert "200 galaxies, 0.00% outliers" in (text := file.read_text())
    assert "R²" in text
    assert "beyond the axes" not in text


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


def survey(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Predictions with a hundredth of outliers, some very far, and the true redshifts."""
    rng = np.random.default_rng(count)
    true = rng.gamma(4, 0.03, count).astype(np.float32)
    predicted = true + 0.01 * rng.standard_normal(count).astype(np.float32)
    predicted[:: 100 if count >= 100 else 5] += 0.5
    predicted[0], true[-1] = -30, 7
    return predicted, true


def texts(file: Path) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]+)</text>", file.read_text())


def triangles(file: Path) -> int:
    """Points in red."""
    return len(re.findall(r"<use [^>]*style=\"fill: #d62728", file.read_text()))


@pytest.mark.parametrize("count", [10, 1000, 20_000])
def test_every_galaxy_is_drawn_and_what_is_beyond_the_axes_is_counted(tmp_path: Path, count: int):
    predicted, true = survey(count)
    file = tmp_path / "inference.svg"
    assert draw(predicted, true, accuracy(predicted, true), file)
    told = [int(line.split()[0].replace(",", "")) for line in texts(file) if "beyond the axes" in line]
    assert len(told) == (2 if count > 10 else 1)
    assert triangles(file) == sum(told)
    if count <= SINGLE:
        points = len(re.findall(r"<use [^>]*style=\"fill: #1f77b4", file.read_text()))
        assert points + triangles(file) == 2 * count


def test_cells_and_what_is_beyond_them_are_all_galaxies():
    predicted, true = survey(50_000)
    panel = Panel(true.astype(float), predicted.astype(float), AxisLimits(0, 0.3), AxisLimits(-0.1, 0.4))
    assert panel.density(BINS).sum() + np.count_nonzero(~panel.inside) == 50_000


@pytest.mark.parametrize("count", [3000, 60_000])
def test_the_colour_bar_counts_in_plain_numbers(tmp_path: Path, count: int):
    predicted, true = survey(count)
    assert draw(predicted, true, accuracy(predicted, true), tmp_path / "inference.svg")
    said = texts(tmp_path / "inference.svg")
    bar = said[said.index("galaxies in a cell") - 3 : said.index("galaxies in a cell")]
    assert all(re.fullmatch(r"[\d,]+", word) for word in bar)
    assert {"1", "2", "5", "10"} <= set(said)


def test_the_measures_have_the_names_that_the_table_has(tmp_path: Path):
    predicted, true = survey(1000)
    draw(predicted, true, accuracy(predicted, true), tmp_path / "inference.svg")
    line = next(line for line in texts(tmp_path / "inference.svg") if "MAE" in line)
    assert [part.rpartition(" ")[0] for part in line.split(", ")] == ["R²", "MAE", "NMAD", "bias of Δz/(1+z)"]
    assert any(
        re.fullmatch(r"1,000 galaxies, 1\.\d0% outliers beyond 0\.15", text)
        for text in texts(tmp_path / "inference.svg")
    )
