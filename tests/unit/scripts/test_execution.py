import argparse
import io
import json
import re
from contextlib import redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import pytest
from botocore.exceptions import ClientError

from lambda_image.errors import InvalidEvent, UsageError
from lambda_image.partition_names import printable
from scripts import execution
from scripts.execution import begin, collect, input_for, new_name, partition_files, report, started_run, tell_end
from scripts.result_folder import result_folder
from scripts.runs.following import StartedRun
from scripts.runs.place import Place
from scripts.stack.account import AccountError
from tests.unit.lambda_image.judged import summarise
from tests.unit.lambda_image.test_results import manifest, record
from tests.unit.lambda_image.test_summary import predictions


def test_partitions_are_found_however_their_names_are_spelt(tmp_path: Path):
    for name in ("10.pt", "2.SAFETENSORS", "1.Pth", "notes.txt", ".DS_Store", "._1.Pth"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "3.pt").mkdir()
    files, (warning,) = partition_files(tmp_path)
    assert [file.name for file in files] == ["1.Pth", "2.SAFETENSORS", "10.pt"]
    for words in ("2 hidden files (", "1 folder (3.pt/)", f"1 file of another kind (notes.txt) in {tmp_path}/ are not"):
        assert words in warning


def test_one_dataset_is_itself(tmp_path: Path):
    for name in ("galaxies", "._galaxies"):  # whatever its name: it was given
        (tmp_path / name).write_bytes(b"")
        assert partition_files(tmp_path / name) == ([tmp_path / name], [])


def test_a_folder_of_the_fields_files_is_refused_with_the_command_that_imports_them(tmp_path: Path):
    (tmp_path / "healpix=1").mkdir()
    (tmp_path / "healpix=1" / "001-of-001.hdf5").touch()
    with pytest.raises(UsageError, match=rf"`cosmicai import {tmp_path} --out partitions/` makes .* \.hdf5"):
        partition_files(tmp_path)


def test_a_folder_without_partitions_is_refused(tmp_path: Path):
    (tmp_path / "3.pt").mkdir()
    (tmp_path / "._1.pt").touch()
    with pytest.raises(UsageError, match="holds no datasets"):
        partition_files(tmp_path)


@pytest.mark.parametrize("name", ["nowhere.pt", "now\nhere.pt", "now\udcffhere.pt"])
def test_what_does_not_exist_is_said_not_to(name: str, tmp_path: Path):
    with pytest.raises(UsageError, match=r"here\.pt does not exist") as raised:
        partition_files(tmp_path / name)
    assert printable(raised.value) == str(raised.value)


@pytest.mark.parametrize("name", ["1\n.pt", "1\x1b[2J.pt", "1\udcff.pt", "1.pt "])
def test_a_name_that_cannot_be_a_key_of_one_line_is_refused(name: str, tmp_path: Path):
    (tmp_path / name).touch()
    given = [tmp_path / name] if name.endswith(" ") else [tmp_path / name, tmp_path]  # in a folder it is no partition
    for data in given:
        with pytest.raises(UsageError, match="rename it") as raised:
            partition_files(data)
        assert printable(raised.value) == str(raised.value)


def test_a_dataset_is_split_by_rows_and_a_folder_by_file(tmp_path: Path):
    dataset = tmp_path / "all.pt"
    dataset.touch()
    parser = argparse.ArgumentParser()
    execution.add_arguments(parser, tmp_path)

    def given(*words: object) -> dict[str, object]:
        return input_for(parser.parse_args([*map(str, words), "--on-bad-row", "skip"]), "b", [dataset], "data")

    flags = {"bucket": "b", "world_size": 4, "batch_size": 256, "on_bad_row": "skip"}
    assert given("--data", dataset) == flags | {"data_path": "data/all.pt"}
    assert given("--data", tmp_path) == given() == flags | {"data_prefix": "data"}
    args = parser.parse_args(["--data", str(tmp_path)])
    assert input_for(args, "b", [dataset], "data", ["1 folder is not read"])["warnings"] == ["1 folder is not read"]


def test_executions_of_one_second_have_names_of_their_own():
    now = datetime(2026, 11, 28, 12, 0, 0, tzinfo=UTC)
    names = {new_name("invoke", now) for _ in range(1000)}
    assert len(names) == 1000
    assert all(re.fullmatch(r"invoke-20261128-120000-[0-9a-f]{12}", name) for name in names)
    assert len(new_name("x" * 50, now)) <= 80


@dataclass(frozen=True)
class KeptResults:
    """The results of a run in memory, and a way to a folder that may be broken."""

    contents: dict[str, bytes]
    broken: bool = False
    place: str = "s3://b/results/r/"

    def open(self, name: str) -> BinaryIO | None:
        return io.BytesIO(self.contents[name]) if name in self.contents else None

    def holds(self, path: Path) -> bool:
        return False

    def download(self, folder: Path) -> int:
        for name, content in self.contents.items():
            (folder / name).write_bytes(content)
        if self.broken:
            raise OSError(28, "No space left on device")
        return len(self.contents)


def kept(**given: bool) -> KeptResults:
    records = [record(0), record(1)]
    facts = {"tolerated_failures": 0, "wall_s": 5.0, "memory_size_mb": 512}
    summary = summarise(manifest(), records, predictions(20), [], **facts).to_json()
    contents = {"manifest": [item.to_json() for item in manifest()], "summary": summary, "combined_data": records}
    return KeptResults({f"{name}.json": json.dumps(content).encode() for name, content in contents.items()}, **given)


class BrokenTerminal(io.StringIO):
    """Takes nothing, as a terminal that has gone, and says so."""

    def write(self, text: str) -> int:
        raise OSError("the terminal has gone")


def test_results_are_written_before_anything_is_shown_of_them(tmp_path: Path):
    with result_folder(tmp_path / "out") as out, redirect_stdout(BrokenTerminal()):
        count = collect(kept(), out, print)
        with pytest.raises(OSError, match="the terminal has gone"):
            report({"status": "SUCCEEDED"}, out, count, print)
    assert {file.name for file in (tmp_path / "out").iterdir()} == {
        "manifest.json",
        "summary.json",
        "combined_data.json",
    }


def test_the_table_is_shown_even_where_the_results_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    with (
        result_folder(tmp_path / "out") as out,
        pytest.raises(InvalidEvent, match=r"could not be written to --out .*: No space left on device"),
    ):
        collect(kept(broken=True), out, print)
    assert "succeeded" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())  # no half of them


@pytest.mark.parametrize(
    ("described", "told"),
    [
        (
            {"status": "ABORTED", "error": "cosmicai", "cause": "stopped by the user"},
            "was stopped: cosmicai: stopped by",
        ),
        ({"status": "ABORTED"}, "was stopped\n"),
        ({"status": "TIMED_OUT"}, "took too long and was ended\n"),
        (
            {"status": "FAILED", "error": "States.Runtime", "cause": '{"errorMessage": "too large"}'},
            "the run failed: States.Runtime: too large\n",
        ),
        ({"status": "FAILED", "error": "PartitionMissing"}, "the run failed: PartitionMissing\n"),
        (
            {"status": "FAILED", "error": "PartitionMissing", "cause": '{"errorMessage": "no such object"}'},
            "the run failed: no such object\n",
        ),
    ],
)
def test_the_status_follows_the_run(described: dict[str, str], told: str, capsys: pytest.CaptureFixture[str]):
    assert tell_end(described, None) == 1
    assert told in capsys.readouterr().err
    assert tell_end({"status": "SUCCEEDED"}, None) == 0
    assert not capsys.readouterr().err


@dataclass
class Starting:
    """Step Functions that answers one thing to StartExecution."""

    code: str

    def start_execution(self, **given: str) -> dict[str, str]:
        raise ClientError({"Error": {"Code": self.code, "Message": "no"}}, "StartExecution")


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (
            "ExecutionAlreadyExists",
            "there is a run mine already: give another --name, or follow it by cosmicai watch mine",
        ),
        ("StateMachineDoesNotExist", "the stack s has no state machine arn:m: run cosmicai deploy"),
    ],
)
def test_a_run_that_cannot_be_started_is_told_with_the_next_step(code: str, told: str):
    place = Place("the stack s", lambda service: Starting(code), "us-east-1", "arn:m", "b")
    with pytest.raises(AccountError, match=re.escape(told)):
        begin(place, "mine", {})


def test_results_lie_where_the_input_says_or_under_the_runs_own_name():
    arn = "arn:aws:states:us-east-1:123456789012:execution:m:mine"
    given = {"bucket_name": "b", "data_prefix": "p"}
    assert started_run(arn, given) == StartedRun(arn, "b", "results/mine")
    assert started_run(arn, {**given, "result_path": "/of/mine/"}).result_path == "of/mine"
    assert started_run(arn, given).name == "mine"
