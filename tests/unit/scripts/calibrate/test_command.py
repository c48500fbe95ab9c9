import argparse
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


def arguments(*given: object) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args([str(word) for word in given])


def dataset(file: Path, count: int, seed: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    magnitudes = 17 + rng.standard_normal((count, 5))
    true = (magnitudes[:, 2] / 100 + RESIDUAL * rng.standard_normal(count)).astype(np.float32)
    write_partition(file, np.ones((count, 5, 32, 32), np.float32), magnitudes, true)
    return file


def test_a_calibration_is_fitted_to_some_galaxies_and_measured_on_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    fitted = []

    def fit(galaxies, weights: str, seed: int) -> RedshiftCalibration:
        fitted.append((galaxies, weights, seed))
        return calibration(weights=weights)

    model = tmp_path / "mine.onnx"
    model.write_bytes(b"weights")
    first, second = dataset(tmp_path / "a.safetensors", 300), dataset(tmp_path / "b.safetensors", 200, 1)
    flags = ("--data", first, second, "--out", tmp_path / "x.calibration.json", "--json", tmp_path / "x.json")
    assert command.run(arguments(*flags, "--held-out", 0.4, "--seed", 3), lambda *_, **__: Blind(), fit) == 0
    (galaxies, _, seed) = fitted[0]
    assert (len(galaxies), seed) == (180 + 120, 3)
    report = json.loads((tmp_path / "x.json").read_text())
    assert (report["fitted"], report["held_out"], report["data"][str(second)]["galaxies"]) == (300, 200, 80)
    assert report["all"]["coverage_68"] == pytest.approx(0.68, abs=0.1)
    assert set(report["all"]["worst"]) == {"magnitude r", "colour g - r", "predicted redshift", "true redshift"}
    made = RedshiftCalibration.read(tmp_path / "x.calibration.json").made
    assert (made["fitted"], made["seed"], made["all"]["galaxies"]) == (300, 3, 200)
    assert "furthest off in 5 bins of colour g - r" in capsys.readouterr().out


def test_a_damaged_calibration_is_replaced(tmp_path: Path):
    model, data = tmp_path / "mine.pt", dataset(tmp_path / "a.safetensors", 310)
    torch.save(small_model().state_dict(), model)
    (tmp_path / "mine.calibration.json").write_text("{")

    def fit(galaxies, weights: str, seed: int) -> RedshiftCalibration:
        return calibration(weights=weights)

    assert command.run(arguments("--data", data, "--model", model, "--overwrite"), fit=fit) == 0
    assert RedshiftCalibration.read(tmp_path / "mine.calibration.json").made["fitted"] == 205


def test_too_few_galaxies_are_refused(tmp_path: Path):
    data = dataset(tmp_path / "a.safetensors", 250)
    flags = ("--data", data, "--out", tmp_path / "x.json")
    with pytest.raises(InvalidEvent, match=r"--data holds 250 galaxies .* 200 to fit to"):
        command.run(arguments(*flags), lambda *_, **__: Blind())


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (["--held-out", 1], "--held-out is 1.0; allowed: a share between 0 and 1"),
        (["--held-out", 0], "--held-out is 0.0"),
        (["--seed", -1], "--seed is -1"),
        (["--batch-size", 0], "--batch-size is 0"),
        (["--model", "nowhere.pt"], "--model nowhere.pt does not exist"),
    ],
)
def test_a_wrong_flag_is_refused_before_anything_is_read(tmp_path: Path, flags: list[object], problem: str):
    (tmp_path / "galaxies.pt").write_bytes(b"no galaxies")
    with pytest.raises(UsageError, match=problem):
        command.run(arguments("--data", tmp_path / "galaxies.pt", *flags))


def test_a_calibration_that_is_there_is_not_replaced_unasked(tmp_path: Path):
    data, out = dataset(tmp_path / "a.safetensors", 10), tmp_path / "x.calibration.json"
    out.write_text("of last week")
    with pytest.raises(UsageError, match=r"--out .* exists: name another file, or give --overwrite"):
        command.run(arguments("--data", data, "--out", out))
