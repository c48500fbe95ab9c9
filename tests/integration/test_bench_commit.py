"""`cosmicai bench commit` over this very commit, and a worker that does not start."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.bench.commit.rank_start import seconds_to_first_poll
from scripts.bench.errors import BenchmarkError
from scripts.cli import main

ROOT = Path(__file__).resolve().parents[2]
WORKER = "import socket; s = socket.create_connection(('127.0.0.1', {port})); s.sendall({said!r}); s.recv(1)"


def seconds_of_a_worker_that_says(said: bytes, tmp_path: Path) -> float:
    with socket.create_server(("127.0.0.1", 0)) as runtime_api:
        worker = WORKER.format(port=runtime_api.getsockname()[1], said=said)
        return seconds_to_first_poll(runtime_api, [sys.executable, "-c", worker], dict(os.environ), tmp_path)


def test_a_worker_has_started_when_it_asks_for_work(tmp_path: Path):
    seconds = seconds_of_a_worker_that_says(b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\n\r\n", tmp_path)
    assert 0 < seconds < 60


def test_a_worker_that_reports_an_error_instead_has_not_started(tmp_path: Path):
    with pytest.raises(BenchmarkError, match="init/error"):
        seconds_of_a_worker_that_says(b"POST /2018-06-01/runtime/init/error HTTP/1.1\r\n\r\n", tmp_path)


def test_a_commit_that_git_does_not_know_is_refused_in_one_line(capsys):
    assert main(["bench", "commit", "no-such-commit"]) == 2
    assert capsys.readouterr().err.startswith("cosmicai: COMMIT is 'no-such-commit'; git answers: ")


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="no git checkout")
def test_this_commit_beside_itself(tmp_path: Path):
    file = tmp_path / "bench.json"
    assert main(["bench", "commit", "HEAD", "--quick", "--pairs", "1", "--world-size", "1", "--json", str(file)]) == 0
    report = json.loads(file.read_text())
    base, this = (side["rounds"] for side in report["commits"])
    assert [len(base), len(this)] == [1, 1]
    # How large they are, a machine that stood still in one of the two decides.
    expected = {name: this[0][name] / base[0][name] for name in base[0]}
    assert report["ratios"] == {
        name: {"low": ratio, "middle": ratio, "high": ratio} for name, ratio in expected.items()
    }
    left = subprocess.run(["git", "worktree", "list"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "cosmicai-" not in left
