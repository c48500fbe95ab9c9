"""Runs on an endpoint that is up, as a user of `docker compose --profile serve` starts them."""

import json
from pathlib import Path

import numpy as np
import pytest

from lambda_image.data.predictions import Predictions
from lambda_image.data.safetensors_format import write_safetensors
from scripts import invoke as invoke_command
from scripts.cli import main
from tests.integration.system import BUCKET, System, write_galaxies

pytestmark = pytest.mark.timeout(240)


def invoke(system: System, out: Path, *arguments: object) -> int:
    return main(["invoke", "--endpoint-url", system.cloud.endpoint_url, "--out", str(out), *map(str, arguments)])


def test_data_of_ones_own(system: System, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    data = write_galaxies(tmp_path / "data", 2, 10)
    assert invoke(system, tmp_path / "out", "--world-size", 2, "--data", data) == 0
    said = capsys.readouterr().out
    assert "1 direct, 1 self" in said
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["samples"] == 20


def test_runs_at_one_endpoint_get_their_own_data_alone(
    system: System, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    large, small = write_galaxies(tmp_path / "large", 3, 4), write_galaxies(tmp_path / "small", 1, 2)
    for data in (large, small):
        assert invoke(system, tmp_path / "out", "--world-size", 1, "--data", data) == 0
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (summary["samples"], summary["partitions"], summary["warnings"]) == (2, 1, [])
    (source,) = set(Predictions.from_parquet((tmp_path / "out" / "predictions.parquet").read_bytes()).source)
    assert source == f"data/{summary['run_id']}/1.safetensors"
    left = system.s3.list_objects_v2(Bucket=invoke_command.BUCKET, Prefix="data/")
    assert left["KeyCount"] == 0  # an endpoint keeps objects in memory


def test_what_is_not_read_and_what_is_empty_is_told(system: System, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    data, out = write_galaxies(tmp_path / "data", 6, 3), tmp_path / "out"
    (data / "2.safetensors").write_bytes(b"")
    nothing = {"images": np.empty((0, 5, 32, 32), np.float32), "magnitudes": np.empty((0, 5), np.float32)}
    write_safetensors(data / "3.safetensors", nothing)
    (data / "5.safetensors").unlink()
    (data / "._1.safetensors").write_bytes(b"of macOS")
    given = ["--data", data, "--world-size", 2, "--on-bad-row", "skip"]
    assert invoke(system, out, *given) == 0
    said = capsys.readouterr().out
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["samples"], summary["partitions"], summary["partitions_completed"]) == (9, 4, 4)
    place = f"data/{summary['run_id']}"
    assert summary["warnings"] == [
        f"1 hidden file (._1.safetensors) in {data}/ is not read",
        f"5 is missing between 1 and 6 among the numbers of the partitions in s3://cosmicai-invoke/{place}/",
        f"1 of 5 partitions in s3://cosmicai-invoke/{place}/ have 0 bytes and no galaxies: 2.safetensors",
        f"1 partition holds no galaxies: {place}/3.safetensors",
    ]
    for warning in summary["warnings"]:
        assert f"warning: {warning}\n" in said
    assert {item["on_bad_row"] for item in json.loads((out / "manifest.json").read_text())} == {"skip"}


def test_the_root_of_a_bucket(system: System, tmp_path: Path):
    (file,) = write_galaxies(tmp_path / "data", 1, 2).iterdir()
    system.s3.create_bucket(Bucket="root")
    for key in ("1.safetensors", "results/old/2.safetensors"):
        system.s3.upload_file(str(file), "root", key)
    given = {"bucket": "root", "data_prefix": "", "data_path": "/tmp/left/over.pt", "world_size": 1}
    (tmp_path / "input.json").write_text(json.dumps(given))
    assert invoke(system, tmp_path / "out", tmp_path / "input.json") == 0
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (summary["samples"], summary["partitions"]) == (2, 1)
    assert "1 folder (results/) in s3://root/ is not read" in summary["warnings"]


def test_an_execution_input_for_data_that_is_there(system: System, galaxies: str, tmp_path: Path):
    given = {"bucket": BUCKET, "data_prefix": galaxies, "world_size": "2", "result_path": "results/invoked/"}
    (tmp_path / "input.json").write_text(json.dumps(given))
    assert invoke(system, tmp_path / "out", tmp_path / "input.json") == 0
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["samples"] == 132


def test_a_run_that_fails_has_the_status_of_a_failure(system: System, tmp_path: Path, capsys):
    (tmp_path / "input.json").write_text(json.dumps({"bucket": BUCKET, "data_prefix": "nowhere"}))
    assert invoke(system, tmp_path / "out", tmp_path / "input.json") == 1
    assert "PartitionMissing" in capsys.readouterr().err


@pytest.mark.parametrize(("bucket", "words"), [("nowhere", "has no bucket 'nowhere'"), ("a b", "not a bucket's name")])
def test_an_unknown_bucket_is_told_in_one_line(system: System, tmp_path: Path, capsys, bucket: str, words: str):
    (tmp_path / "input.json").write_text(json.dumps({"bucket": bucket}))
    assert invoke(system, tmp_path / "out", tmp_path / "input.json") == 1
    told = capsys.readouterr()
    assert told.err.count("\n") == 1
    assert words in told.err
    assert "input.json" in told.err
    assert not told.out
