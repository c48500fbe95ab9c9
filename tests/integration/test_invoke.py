"""Runs on an endpoint that is up, as a user of `docker compose --profile serve` starts them."""

import json
import os
import pty
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

from lambda_image.data.predictions import Predictions
from lambda_image.data.safetensors_format import write_safetensors
from scripts.cli import main
from scripts.runs import place as places
from tests.integration.local_endpoint import Endpoint
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
        assert invoke(system, tmp_path / "out", "--world-size", 1, "--data", data, "--overwrite") == 0
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (summary["samples"], summary["partitions"], summary["warnings"]) == (2, 1, [])
    (source,) = set(Predictions.from_parquet((tmp_path / "out" / "predictions.parquet").read_bytes()).source)
    assert source == f"data/{summary['run_id']}/1.safetensors"
    left = system.s3.list_objects_v2(Bucket=places.LOCAL_BUCKET, Prefix="data/")
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
    told = capsys.readouterr().err
    assert told.startswith("cosmicai: no object in s3://tests/nowhere/")
    assert "PartitionMissing" not in told


@pytest.mark.parametrize(
    ("bucket", "words"), [("nowhere", "there is no bucket nowhere"), ("a b", "'a b' is not a bucket's name")]
)
def test_an_unknown_bucket_is_told_in_one_line(system: System, tmp_path: Path, capsys, bucket: str, words: str):
    (tmp_path / "input.json").write_text(json.dumps({"bucket": bucket, "data_prefix": "p"}))
    assert invoke(system, tmp_path / "out", tmp_path / "input.json") == 1
    told = capsys.readouterr()
    assert told.err.count("\n") == 1
    assert words in told.err
    assert not told.out


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("watch nothing", "has no run nothing: "),
        ("results nothing", "has no run nothing: "),
        ("invoke --data-prefix nothing", "upload partitions there"),
        (
            "invoke --data-prefix p --bucket nowhere",
            "there is no bucket nowhere: create it, or name another by --bucket",
        ),
        ("invoke --data-prefix p --set file_limit=no", "file_limit is 'no'; allowed: a whole number from 1"),
        ("invoke --input nowhere.json", "--input nowhere.json does not exist"),
        (
            "invoke --data-prefix {galaxies} --world-size 99 --bucket {bucket} --rendezvous x",
            "--rendezvous is x; allowed",
        ),
        ("upload {data} s3://nowhere/p", "there is no bucket nowhere: create it, or name another"),
        ("upload {data} s3://{bucket}/{galaxies}", "other partitions ("),
        ("watch nothing --stack nothing --region us-east-1", "there is no stack nothing in us-east-1: name the region"),
    ],
)
def test_what_is_not_there_is_told_in_one_line_with_the_next_step(
    by_stack: list[str], system: System, galaxies: str, tmp_path: Path, capsys, monkeypatch, command: str, told: str
):
    monkeypatch.chdir(tmp_path)
    data = write_galaxies(tmp_path / "data", 1, 2)
    words = command.format(data=data, bucket=BUCKET, galaxies=galaxies).split()
    assert main([*words, "--endpoint-url", system.cloud.endpoint_url]) != 0
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1


@pytest.fixture(scope="module")
def stack(_running: System) -> str:
    """A stack whose outputs lead to the endpoint's state machine, functions and bucket, as those of `deploy` do."""
    outputs = {
        "StateMachineArn": _running.machine,
        "BucketName": BUCKET,
        **{f"{name.capitalize()}Function": name for name in ("init", "rank", "summarize")},
        "RendezvousEndpoint": _running.cloud.rendezvous_endpoint,  # type: ignore[attr-defined]
    }
    template = {
        "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
        "Outputs": {name: {"Value": value} for name, value in outputs.items()},
    }
    _running.cloud.client("cloudformation").create_stack(StackName="mine", TemplateBody=json.dumps(template))
    return "mine"


@pytest.fixture
def by_stack(stack: str, system: System, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The flags by which a user means the stack, whose credentials come from the environment."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "mine")
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/dev/null")
    return ["--stack", stack, "--region", "us-east-1", "--endpoint-url", system.cloud.endpoint_url]


def test_from_an_upload_to_a_catalogue_by_the_outputs_of_a_stack(
    by_stack: list[str], system: System, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    data = write_galaxies(tmp_path / "mine", 3, 8)
    assert main(["upload", str(data), *by_stack]) == 0
    said = capsys.readouterr().out
    assert f"3 files uploaded, 0 there already, all 3 checked: s3://{BUCKET}/datasets/mine/" in said
    command = next(line for line in said.splitlines() if line.startswith("  cosmicai invoke")).split()
    assert json.loads(said.splitlines()[-1]) == {"bucket": BUCKET, "data_prefix": "datasets/mine"}

    assert main([*command[1:], "--detach", "--name", "mine-1"]) == 0
    ways = [line.split()[1:] for line in capsys.readouterr().out.splitlines() if line.startswith("  cosmicai ")]
    assert [words[:2] for words in ways] == [["watch", "mine-1"], ["results", "mine-1"]]
    assert main(ways[0]) == 0
    assert "run mine-1: succeeded" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()
    assert main(ways[1]) == 0
    said = capsys.readouterr().out
    assert "result objects fetched into out/mine-1/" in said
    assert "2 direct, 1 self" in said  # the standing server's address travelled in the input
    summary = json.loads((tmp_path / "out" / "mine-1" / "summary.json").read_text())
    assert (summary["samples"], summary["world_size"]) == (24, 3)
    assert main(["results", "mine-1", "--out", "mine.csv"]) == 0  # now from the folder, without asking anybody
    assert len((tmp_path / "mine.csv").read_text().splitlines()) == 25
    system.s3.delete_object(Bucket=BUCKET, Key="datasets/mine/2.safetensors")
    assert main(["upload", str(data), *by_stack]) == 0
    assert "1 file uploaded, 2 there already, all 3 checked" in capsys.readouterr().out


def test_a_name_that_is_taken_is_told_before_anything_is_written_or_removed(
    by_stack: list[str], system: System, tmp_path: Path, capsys
):
    data = write_galaxies(tmp_path / "data", 1, 4)
    given = ["invoke", "--data", str(data), "--name", "twice", *by_stack, "--out", str(tmp_path / "out")]
    assert main([*given, "--world-size", "2"]) == 0
    capsys.readouterr()
    system.s3.put_object(Bucket=BUCKET, Key="data/twice/1.safetensors", Body=b"what the first run may be reading")
    assert main([*given, "--world-size", "1", "--overwrite"]) == 1
    assert system.keys("data") == {"twice/1.safetensors"}
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["world_size"] == 2
    system.s3.delete_object(Bucket=BUCKET, Key="data/twice/1.safetensors")
    told = capsys.readouterr().err
    assert (
        "there is a run twice already: give another --name, or follow it by cosmicai watch twice --stack mine" in told
    )


def test_a_stopped_run_ends_with_the_status_of_a_failure(system: System, many_galaxies: str, tmp_path: Path, capsys):
    given = ["--bucket", BUCKET, "--data-prefix", many_galaxies, "--world-size", "2", "--batch-size", "16"]
    assert invoke(system, tmp_path / "out", *given, "--detach", "--name", "stopped") == 0
    client = system.cloud.client("stepfunctions")
    arn = f"{system.machine.replace(':stateMachine:', ':execution:')}:stopped"
    client.stop_execution(executionArn=arn, error="somebody", cause="else stopped it")
    capsys.readouterr()
    assert main(["watch", "stopped", "--endpoint-url", system.cloud.endpoint_url]) == 1
    assert "cosmicai: the run was stopped" in capsys.readouterr().err  # moto forgets by whom


def test_at_ctrl_c_a_user_is_asked_and_stops_the_run(system: System, many_galaxies: str, tmp_path: Path):
    command = [sys.executable, "-m", "scripts", "invoke", "--endpoint-url", system.cloud.endpoint_url]
    given = ["--bucket", BUCKET, "--data-prefix", many_galaxies, "--world-size", "1", "--batch-size", "1"]
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(Path(__file__).parents[2])
        environ = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
        os.execve(sys.executable, [*command, *given, "--name", "asked", "--out", str(tmp_path / "out")], environ)
    try:
        said = _until(terminal, "at work")
        assert "running" in said
        os.write(terminal, b"\x03")
        assert "asked" in _until(terminal, "Stop the run")
        os.write(terminal, b"y\n")
        rest = _until(terminal, "the run was stopped")
        assert "stopping the run asked" in rest
    finally:
        _, status = os.waitpid(child, 0)
        os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 1
    arn = f"{system.machine.replace(':stateMachine:', ':execution:')}:asked"
    assert system.cloud.client("stepfunctions").describe_execution(executionArn=arn)["status"] == "ABORTED"


def _until(terminal: int, words: str) -> str:
    """What a program at a terminal says up to some words."""
    said = ""
    while words not in said:
        try:
            said += os.read(terminal, 4096).decode(errors="replace")
        except OSError as error:  # the program has ended
            raise AssertionError(f"it ended without {words!r}:\n{said}") from error
    return said


def test_functions_that_sleep_and_a_quota_that_is_small_are_told(tmp_path: Path, capsys):
    data = write_galaxies(tmp_path / "data", 2, 4)
    (tmp_path / "endpoint").mkdir()
    endpoint = Endpoint(tmp_path / "endpoint", {}, 2, ("--waking", "1", "--concurrency", "1"))
    try:
        given = ["invoke", "--endpoint-url", endpoint.url, "--out", str(tmp_path / "out")]
        assert main([*given, "--data", str(data), "--world-size", "2"]) == 0
    finally:
        endpoint.end(signal.SIGTERM)
    said = capsys.readouterr().out
    assert "the function rank was idle for long and wakes" in said
    assert "1 of 2 ranks work at a time" in said
    assert '"max_concurrency": 1' in said
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (summary["samples"], summary["failed_ranks"]) == (8, [])
