import os
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from lambda_image.errors import InvalidEvent
from scripts.cli import main
from scripts.invoke import read_input


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"data_prefix": "galaxies"}'])
def test_what_is_no_execution_input_is_refused_by_name(text: str, tmp_path: Path):
    (tmp_path / "input.json").write_text(text)
    with pytest.raises(InvalidEvent, match=r"input\.json is not"):
        read_input(tmp_path / "input.json")


def test_the_old_name_of_the_bucket_is_one(tmp_path: Path):
    (tmp_path / "input.json").write_text('{"bucket_name": "b", "data_size": "small"}')
    assert read_input(tmp_path / "input.json") == {"bucket_name": "b", "data_size": "small"}


def test_without_an_endpoint_it_says_how_to_name_one(tmp_path: Path, capsys, monkeypatch):
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    assert main(["invoke", "--out", str(tmp_path / "out")]) == 2
    assert "AWS_ENDPOINT_URL" in capsys.readouterr().err


@pytest.mark.parametrize("url", ["127.0.0.1:4599", "http://a b", "http://127.0.0.1:99999"])
def test_what_is_no_url_is_refused_with_an_example(url: str, tmp_path: Path, capsys):
    assert main(["invoke", "--endpoint-url", url, "--out", str(tmp_path / "out")]) == 2
    told = f"cosmicai: --endpoint-url is {url}; allowed: a URL such as http://127.0.0.1:4566\n"
    assert capsys.readouterr().err == told


def test_an_endpoint_that_is_something_else_is_told_in_one_line(tmp_path: Path, capsys):
    (tmp_path / "input.json").write_text('{"bucket": "b"}')
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        given = ["invoke", "--endpoint-url", url]
        assert main([*given, str(tmp_path / "input.json"), "--out", str(tmp_path / "out")]) == 1
        assert main([*given, "--data", __file__, "--out", str(tmp_path / "out")]) == 1
        server.shutdown()
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("cosmicai")]
    assert len(told) == 2
    assert all(f"{url} refuses" in line for line in told)


def test_an_endpoint_that_does_not_answer_is_named(tmp_path: Path, capsys):
    (tmp_path / "input.json").write_text('{"bucket": "b"}')
    url = "http://127.0.0.1:9"  # discard: nobody listens there
    assert main(["invoke", str(tmp_path / "input.json"), "--endpoint-url", url, "--out", str(tmp_path / "out")]) == 1
    assert f"{url} does not answer" in capsys.readouterr().err


def test_the_shell_script_takes_paths_from_the_callers_folder(tmp_path: Path):
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
        ["../a repository/scripts/invoke.sh", "--data", "galaxies.pt"],
        cwd=caller,
        env=environ,
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.splitlines() == [str(caller), "http://127.0.0.1:4566 invoke --data galaxies.pt"]
