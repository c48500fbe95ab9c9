import io
import os
import shutil
import subprocess
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from scripts.cli import main
from scripts.invoke import Beginning
from scripts.runs.rendezvous import rendezvous_for
from scripts.runs.run_input import JudgedInput
from scripts.runs.run_progress import RunProgress
from scripts.stack.server_task import STANDING
from tests.unit.scripts.stack.fake_fargate import ADDRESSES, FakeFargate


@pytest.fixture(autouse=True)
def _nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """No endpoint, no region and no credentials."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, os.devnull)


def told_by(capsys: pytest.CaptureFixture[str], status: int, *arguments: object) -> str:
    """The one line that refuses."""
    assert main(["invoke", *map(str, arguments)]) == status
    told = capsys.readouterr()
    assert told.err.count("\n") == 1
    return told.err


def test_without_a_region_and_an_endpoint_it_says_how_to_name_one(tmp_path: Path, capsys):
    assert "no region is named: give --region or set AWS_REGION" in told_by(capsys, 2, "--out", tmp_path / "out")


@pytest.mark.parametrize("url", ["127.0.0.1:4599", "http://a b", "http://127.0.0.1:99999"])
def test_what_is_no_url_is_refused_with_an_example(url: str, tmp_path: Path, capsys):
    told = f"cosmicai: --endpoint-url is {url}; allowed: a URL such as http://127.0.0.1:4566\n"
    assert told_by(capsys, 2, "--endpoint-url", url, "--out", tmp_path / "out") == told


def test_an_endpoint_that_is_something_else_is_told_in_one_line(tmp_path: Path, capsys, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
        monkeypatch.setenv(name, "us-east-1")
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        assert main(["invoke", "--endpoint-url", url, "--data", __file__, "--out", str(tmp_path / "out")]) == 1
        server.shutdown()
    [told] = [line for line in capsys.readouterr().err.splitlines() if line.startswith("cosmicai")]
    assert f"(asked at {url}, which is no local endpoint of ours)" in told


def test_an_endpoint_that_does_not_answer_is_named(tmp_path: Path, capsys):
    (tmp_path / "input.json").write_text('{"bucket": "b"}')
    url = "http://127.0.0.1:9"  # discard: nobody listens there
    told = told_by(capsys, 1, tmp_path / "input.json", "--endpoint-url", url, "--out", tmp_path / "out")
    assert f"{url} does not answer" in told


def test_data_in_two_places_is_refused_before_anybody_is_asked(tmp_path: Path, capsys):
    told = told_by(capsys, 2, "--data", __file__, "--data-prefix", "p", "--out", tmp_path / "out")
    assert "--data and an input that names data are two places of data" in told


@pytest.mark.parametrize("size", [0, -1, 10**9])
def test_a_batch_size_is_checked_before_anybody_is_asked(size: int, tmp_path: Path, capsys):
    assert f"--batch-size is {size}" in told_by(capsys, 2, "--batch-size", size, "--out", tmp_path / "out")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("flags", "endpoint"),
    [
        (["--data", "galaxies.pt"], "http://127.0.0.1:4566"),
        (["--data", "galaxies.pt", "--region", "eu-west-1"], ""),
        (["--stack=mine"], ""),
    ],
)
def test_the_shell_script_takes_paths_from_the_callers_folder(tmp_path: Path, flags: list[str], endpoint: str):
    script = Path(__file__).parents[3] / "scripts" / "invoke.sh"
    repository, caller = tmp_path / "a repository", tmp_path / "caller"
    for folder in (repository / "scripts", repository / ".venv" / "bin", caller):
        folder.mkdir(parents=True)
    shutil.copy(script, repository / "scripts")
    command = repository / ".venv" / "bin" / "cosmicai"
    command.write_text('#!/bin/sh\npwd\necho "$AWS_ENDPOINT_URL $*"\n')
    command.chmod(0o755)
    environ = {"PATH": os.environ["PATH"]}
    answer = subprocess.run(
        ["../a repository/scripts/invoke.sh", *flags],
        cwd=caller,
        env=environ,
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.splitlines() == [str(caller), f"{endpoint} invoke {' '.join(flags)}"]


def test_a_server_that_only_lives_as_long_as_the_command_is_not_for_a_run_that_goes_on(capsys):
    assert main(["invoke", "--data-prefix", "p", "--detach", "--rendezvous", "start"]) == 2
    assert "cosmicai rendezvous up starts one that stays" in capsys.readouterr().err


def chosen(fargate: FakeFargate, flag: str | None, galaxies: int) -> tuple[Mapping[str, Any], str]:
    out = io.StringIO()
    with ExitStack() as until:
        beginning = Beginning(fargate.place, "r", None, flag, RunProgress(out, []), until)
        request: Any = None
        judged = JudgedInput(request, 1, [galaxies])
        keys = beginning.server(rendezvous_for(fargate.place, {}, flag), judged, {"MemorySize": 1769})
    return keys, " ".join(out.getvalue().split())


def test_a_server_that_serves_many_runs_is_found():
    fargate = FakeFargate()
    fargate.servers().start(STANDING, None, {})
    fargate.now = 100.0
    assert (
        chosen(fargate, None, 1)[0]
        == chosen(fargate, None, 10**9)[0]
        == {"rendezvous_endpoint": f"{ADDRESSES[0]}:10000"}
    )
    assert fargate.running() == [STANDING]


def test_a_short_run_gets_none_and_a_long_one_its_own_which_goes_where_it_does_not_come_up():
    fargate = FakeFargate()
    keys, said = chosen(fargate, None, 1)
    assert (keys, fargate.tasks) == ({}, {})
    assert "the ranks gather by way of S3" in said
    fargate.failures = [{"reason": "RESOURCE:FARGATE"}]
    for flag, galaxies in ((None, 10**9), ("start", 1)):
        keys, said = chosen(fargate, flag, galaxies)
        assert keys == {}
        assert "warning: the rendezvous server cannot be started: RESOURCE:FARGATE" in said
