import csv
import json
from pathlib import Path

import numpy as np
import pytest

from lambda_image.data.partition import write_partition
from lambda_image.errors import InvalidEvent, UsageError
from scripts.evaluate import command
from tests.unit.scripts.evaluate.galaxies import Blind
from tests.unit.scripts.flags import parsed


def dataset(folder: Path, truth: bool = True) -> Path:
    rng = np.random.default_rng(0)
    magnitudes = 17 + rng.standard_normal((60, 5))
    true = (magnitudes[:, 2] / 100 + 0.001 * rng.standard_normal(60)).astype(np.float32) if truth else None
    images = rng.random((60, 5, 32, 32))
    images[7] = np.nan
    write_partition(folder / "galaxies.safetensors", images, magnitudes, true)
    return folder / "galaxies.safetensors"


def test_everything_is_measured_shown_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    figures, table, pictures = tmp_path / "e.json", tmp_path / "e.csv", tmp_path / "pictures"
    flags = ("--json", figures, "--csv", table, "--pictures", pictures, "--bins", 2, "--resamples", 20, "--images", 40)
    assert command.run(parsed(command, dataset(tmp_path), *flags), lambda *_: Blind()) == 0
    report = json.loads(figures.read_text())
    assert (report["galaxies"], report["rows"]["in"], report["engine"]) == (59, 60, "blind")
    assert len(report["bins"]) == 1 + 4 * 2
    assert report["images"]["galaxies"] == 40
    assert [one["r2_change"]["value"] for one in report["images"]["replaced"]] == [0, 0, 0]
    assert len(list(csv.reader(table.open()))) == 1 + 9 + 4
    assert {file.name for file in pictures.iterdir()} == {"redshifts.png", "bins.png", "images.png"}
    printed = " ".join(capsys.readouterr().out.split())
    for words in ("NMAD", "images change R² by +0.0000", "image_not_finite in 1 of 60 galaxies"):
        assert words in printed


def test_the_same_seed_gives_the_same_report(tmp_path: Path):
    data, reports = dataset(tmp_path), []
    for number in range(2):
        file = tmp_path / f"{number}.json"
        command.run(parsed(command, data, "--json", file, "--resamples", 10, "--seed", 3), lambda *_: Blind())
        reports.append(json.loads(file.read_text()) | {"machine": None})  # whose load is another one each time
    assert reports[0] == reports[1]


def test_images_may_be_left_alone(tmp_path: Path):
    file = tmp_path / "e.json"
    flags = ("--images", 0, "--json", file, "--resamples", 5)
    assert command.run(parsed(command, dataset(tmp_path), *flags), lambda *_: Blind()) == 0
    assert json.loads(file.read_text())["images"] is None


def test_without_true_redshifts_there_is_nothing_to_measure(tmp_path: Path):
    with pytest.raises(InvalidEvent, match=r"galaxies\.safetensors: no true redshift is known"):
        command.run(parsed(command, dataset(tmp_path, truth=False)), lambda *_: Blind())


def test_without_predictions_there_is_nothing_either(tmp_path: Path):
    file = tmp_path / "bad.safetensors"
    write_partition(file, np.full((3, 5, 32, 32), np.nan), np.full((3, 5), 17.0), np.full(3, 0.1, np.float32))
    with pytest.raises(InvalidEvent, match="none of its 3 galaxies with a redshift has a prediction"):
        command.run(parsed(command, file), lambda *_: Blind())


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (["--bins", 0], "--bins is 0"),
        (["--resamples", 0], "--resamples is 0"),
        (["--images", -1], "--images is -1"),
        (["--seed", -1], "--seed is -1"),
        (["--batch-size", 0], "--batch-size is 0"),
        (["--engine", "fast", "--device", "cuda"], "--engine is fast"),
        (["--json", "no/such/x.json"], "--json no/such/x.json would be in a folder that does not exist"),
        (["--pictures", "no/such/folder"], "--pictures no/such/folder would be in a folder that does not exist"),
    ],
)
def test_a_wrong_flag_is_refused_before_anything_is_read(tmp_path: Path, flags: list[object], problem: str):
    (tmp_path / "galaxies.pt").write_bytes(b"no galaxies")
    with pytest.raises(UsageError, match=problem):
        command.run(parsed(command, tmp_path / "galaxies.pt", *flags))


def test_nothing_that_is_there_is_replaced_unless_that_is_asked_for(tmp_path: Path):
    data, folder = dataset(tmp_path), tmp_path / "pictures"
    folder.mkdir()
    (folder / "bins.png").write_text("of last week")
    with pytest.raises(UsageError, match=r"bins\.png exists: name another file, or give --overwrite"):
        command.run(parsed(command, data, "--pictures", folder))
    flags = ("--pictures", folder, "--overwrite", "--resamples", 5, "--images", 0, "--bins", 1)
    assert command.run(parsed(command, data, *flags), lambda *_: Blind()) == 0
    assert (folder / "bins.png").read_bytes().startswith(b"\x89PNG")
    assert not (folder / "images.png").exists()
    with pytest.raises(UsageError, match="is a file: name a folder"):
        command.run(parsed(command, data, "--pictures", data))
