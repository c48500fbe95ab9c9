import re
from collections.abc import Callable
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


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], str]:
    """Draws so many galaxies, once."""
    folder = tmp_path_factory.mktemp("pictures")

    def picture(count: int) -> str:
        file = folder / f"{count}.svg"
        if not file.exists():
            predicted, true = survey(count)
            assert draw(predicted, true, accuracy(predicted, true), file)
        return file.read_text()

    return picture


def texts(picture: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]+)</text>", picture)


def triangles(picture: str) -> int:
    """Points in red."""
    return len(re.findall(r"<use [^>]*style=\"fill: #d62728", picture))


@pytest.mark.parametrize("count", [10, 1000, 60_000])
def test_every_galaxy_is_drawn_and_what_is_beyond_the_axes_is_counted(pictures: Callable[[int], str], count: int):
    picture = pictures(count)
    told = [int(line.split()[0].replace(",", "")) for line in texts(picture) if "beyond the axes" in line]
    assert len(told) == (2 if count > 10 else 1)
    assert triangles(picture) == sum(told)
    if count <= SINGLE:
        points = len(re.findall(r"<use [^>]*style=\"fill: #1f77b4", picture))
        assert points + triangles(picture) == 2 * count


def test_cells_and_what_is_beyond_them_are_all_galaxies():
    predicted, true = survey(50_000)
    panel = Panel(true.astype(float), predicted.astype(float), AxisLimits(0, 0.3), AxisLimits(-0.1, 0.4))
    assert panel.density(BINS).sum() + np.count_nonzero(~panel.inside) == 50_000


@pytest.mark.parametrize("count", [3000, 60_000])
def test_the_colour_bar_counts_in_plain_numbers(pictures: Callable[[int], str], count: int):
    said = texts(pictures(count))
    bar = said[said.index("galaxies in a cell") - 3 : said.index("galaxies in a cell")]
    assert all(re.fullmatch(r"[\d,]+", word) for word in bar)
    assert {"1", "2", "5", "10"} <= set(said)


def test_the_measures_have_the_names_that_the_table_has(pictures: Callable[[int], str]):
    said = texts(pictures(1000))
    line = next(line for line in said if "MAE" in line)
    assert [part.rpartition(" ")[0] for part in line.split(", ")] == ["R²", "MAE", "NMAD", "bias of Δz/(1+z)"]
    assert any(re.fullmatch(r"1,000 galaxies, 1\.\d0% outliers beyond 0\.15", text) for text in said)
