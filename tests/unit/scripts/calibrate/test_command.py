import json
from pathlib import Path

import numpy as np
import pytest
import torch

from lambda_image.data.partition import write_partition
from lambda_image.errors import InvalidEvent, UsageError
from lambda_image.model.calibration import RedshiftCalibration
from scripts.calibrate import command
from tests.small_checkpoints import small_model
from tests.unit.lambda_image.model.calibrations import RESIDUAL, calibration
from tests.unit.scripts.evaluate.galaxies import Blind
from tests.unit.scripts.flags import parsed


def dataset(file: Path, count: int, seed: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    magnitudes = 17 + rng.standard_normal((count, 5))
    true = (magnitudes[:, 2] / 100 + RESIDUAL * rng.standard_normal(count)).astype(np.float32)
    write_partition(file, np.ones((count, 5, 32, 32), np.float32), magnitudes, true)
    return file


def test_each_galaxy_is_measured_with_a_calibration_that_did_not_see_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    fitted = []

    def fit(galaxies, weights: str, seed: int) -> RedshiftCalibration:
        fitted.append((galaxies, seed))
        return calibration(weights=weights)

    model = tmp_path / "mine.onnx"
    model.write_bytes(b"weights")
    first, second = dataset(tmp_path / "a.safetensors", 300), dataset(tmp_path / "b.safetensors", 201, 1)
    flags = ("--data", first, second, "--out", tmp_path / "x.calibration.json", "--json", tmp_path / "x.json")
    assert command.run(parsed(command, *flags, "--folds", 4, "--seed", 3), lambda *_, **__: Blind(), fit) == 0
    assert [(len(galaxies), seed) for galaxies, seed in fitted] == [(375, 3), (376, 3), (376, 3), (376, 3), (501, 3)]
    whole = fitted[-1][0].redshift_true
    left_out = [np.setdiff1d(whole, galaxies.redshift_true) for galaxies, _ in fitted[:-1]]
    np.testing.assert_array_equal(np.sort(np.concatenate(left_out)), np.sort(whole))
    report = json.loads((tmp_path / "x.json").read_text())
    assert (report["galaxies"], report["folds"], report["data"][str(second)]["galaxies"]) == (501, 4, 201)
    assert report["all"]["coverage_68"] == pytest.approx(0.68, abs=0.1)
    assert set(report["all"]["worst"]) == {"magnitude r", "colour g - r", "predicted redshift", "true redshift"}
    made = RedshiftCalibration.read(tmp_path / "x.calibration.json").made
    assert (made["galaxies"], made["folds"], made["seed"], made["all"]["galaxies"]) == (501, 4, 3, 501)
    told = capsys.readouterr().out
    assert [line for line in told.splitlines() if line.startswith("fit ")] == [f"fit {n} of 5" for n in range(1, 6)]
    assert "furthest off in 5 bins of colour g - r" in told
    assert "x.calibration.json. Runs with these weights have error bars once it lies at " in told


def test_error_bars_are_those_of_the_fold_that_left_a_galaxy_out(tmp_path: Path):
    """One fold's bars hold none of its galaxies, and the other's all."""
    data, widths = dataset(tmp_path / "a.safetensors", 600), iter([-20.0, 20.0, 0.0])

    def fit(galaxies, weights: str, seed: int) -> RedshiftCalibration:
        return calibration((0, next(widths), 0, 0), weights=weights)

    flags = ("--data", data, "--out", tmp_path / "x.json", "--json", tmp_path / "y.json", "--folds", 2)
    assert command.run(parsed(command, *flags), lambda *_, **__: Blind(), fit) == 0
    assert json.loads((tmp_path / "y.json").read_text())["all"]["coverage_95"] == pytest.approx(0.5, abs=0.02)


def test_a_damaged_calibration_is_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    model, data = tmp_path / "mine.pt", dataset(tmp_path / "a.safetensors", 310)
    torch.save(small_model().state_dict(), model)
    (tmp_path / "mine.calibration.json").write_text("{")

    def fit(galaxies, weights: str, seed: int) -> RedshiftCalibration:
        return calibration(weights=weights)

    assert command.run(parsed(command, "--data", data, "--model", model, "--overwrite"), fit=fit) == 0
    assert RedshiftCalibration.read(tmp_path / "mine.calibration.json").made["galaxies"] == 310
    assert "mine.calibration.json. Runs with these weights have error bars now" in capsys.readouterr().out


def test_repeated_galaxies_count_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """No fold would be left out otherwise, because others hold the same galaxies."""
    one, other = dataset(tmp_path / "a.safetensors", 300), dataset(tmp_path / "b.safetensors", 200, 1)
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(one.read_bytes())
    fitted = []

    def fit(galaxies, weights: str, seed: int) -> RedshiftCalibration:
        fitted.append(galaxies.redshift_true)
        return calibration(weights=weights)

    flags = ("--data", one, copy, other, "--out", tmp_path / "x.json", "--json", tmp_path / "y.json")
    assert command.run(parsed(command, *flags), lambda *_, **__: Blind(), fit) == 0
    assert all(len(np.unique(true)) == len(true) for true in fitted)
    found = json.loads((tmp_path / "y.json").read_text())
    assert (found["galaxies"], found["data"][str(one)]["galaxies"], found["data"][str(copy)]) == (500, 300, {})
    assert found["data"][str(other)]["galaxies"] == 200
    assert "300 galaxies are there more than once, and count once" in capsys.readouterr().out


def test_a_dataset_is_named_once(tmp_path: Path):
    data = dataset(tmp_path / "a.safetensors", 10)
    with pytest.raises(UsageError, match=r"--data names .*a\.safetensors twice"):
        command.run(parsed(command, "--data", data, tmp_path / "." / data.name, "--out", tmp_path / "x.json"))


def test_too_few_galaxies_are_refused(tmp_path: Path):
    data = dataset(tmp_path / "a.safetensors", 240)
    flags = ("--data", data, "--out", tmp_path / "x.json")
    with pytest.raises(InvalidEvent, match=r"--data holds 240 galaxies .* 5 folds leave 192 to fit to: 200 are needed"):
        command.run(parsed(command, *flags), lambda *_, **__: Blind())


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (["--folds", 1], "--folds is 1; allowed: a whole number from 2"),
        (["--seed", -1], "--seed is -1"),
        (["--batch-size", 0], "--batch-size is 0"),
        (["--model", "nowhere.pt"], "--model nowhere.pt does not exist"),
    ],
)
def test_a_wrong_flag_is_refused_before_anything_is_read(tmp_path: Path, flags: list[object], problem: str):
    (tmp_path / "galaxies.pt").write_bytes(b"no galaxies")
    with pytest.raises(UsageError, match=problem):
        command.run(parsed(command, "--data", tmp_path / "galaxies.pt", *flags))


def test_a_calibration_that_is_there_is_not_replaced_unasked(tmp_path: Path):
    data, out = dataset(tmp_path / "a.safetensors", 10), tmp_path / "x.calibration.json"
    out.write_text("of last week")
    with pytest.raises(UsageError, match=r"--out .* exists: name another file, or give --overwrite"):
        command.run(parsed(command, "--data", data, "--out", out))
