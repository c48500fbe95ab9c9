import argparse
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from lambda_image.errors import UsageError
from lambda_image.partition_names import printable
from scripts import execution
from scripts.execution import begin, check_name_is_free, input_for, new_name, partition_files, started_run
from scripts.runs.following import StartedRun
from scripts.runs.place import Place
from scripts.stack.account import AccountError


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


@dataclass
class Knowing:
    """Step Functions with one run, or one that answers with an error."""

    code: str = ""

    def describe_execution(self, executionArn: str) -> dict[str, str]:  # noqa: N803
        code = self.code or ("" if executionArn.endswith(":mine") else "ExecutionDoesNotExist")
        if code:
            raise ClientError({"Error": {"Code": code}}, "DescribeExecution")
        return {"executionArn": executionArn}


def test_a_name_that_is_taken_is_told_before_anything_is_uploaded_under_it():
    machine = "arn:aws:states:us-east-1:123456789012:stateMachine:m"

    def place(code: str = "") -> Place:
        return Place("the stack s", lambda service: Knowing(code), "us-east-1", machine, "b")

    with pytest.raises(AccountError, match="there is a run mine already: give another --name"):
        check_name_is_free(place(), "mine")
    check_name_is_free(place(), "other")
    check_name_is_free(place("AccessDeniedException"), "mine")
    with pytest.raises(ClientError):
        check_name_is_free(place("InternalFailure"), "mine")


def test_results_lie_where_the_input_says_or_under_the_runs_own_name():
    arn = "arn:aws:states:us-east-1:123456789012:execution:m:mine"
    given = {"bucket_name": "b", "data_prefix": "p"}
    assert started_run(arn, given) == StartedRun(arn, "b", "results/mine")
    assert started_run(arn, {**given, "result_path": "/of/mine/"}).result_path == "of/mine"
    assert started_run(arn, given).name == "mine"
