"""Runs on an endpoint that is up, as a user of `docker compose --profile serve` starts them."""

import json
from pathlib import Path

import pytest

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
