"""The demo when it, or a part of it, is killed."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.local_endpoint import PATIENCE_S, eventually, running
from tests.integration.system import write_galaxies

pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc"),
]


@contextmanager
def demo(folder: Path, each: int = 20) -> Iterator[subprocess.Popen[str]]:
    data = write_galaxies(folder / "data", 2, each)
    command = [sys.executable, "-m", "scripts", "demo", "--world-size", "2", "--batch-size", "16"]
    with subprocess.Popen(
        [*command, "--data", str(data), "--out", str(folder / "out")],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "INFERENCE_ENGINE": "eager"},  # for inference to last until it is disturbed
        preexec_fn=_heed_hangups,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _heed_hangups() -> None:
    """Undoes what `nohup make test` hands down to every process."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def parts(process: subprocess.Popen[str]) -> dict[str, int]:
    """The demo's own processes by the module that they run."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    found = {}
    for child in children:
        words = Path(f"/proc/{child}/cmdline").read_text().split("\0")
        if "-m" in words:
            found[words[words.index("-m") + 1]] = int(child)
    return found


def until(process: subprocess.Popen[str], pattern: str) -> str:
    """What it said up to the line that has `pattern`."""
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if re.search(pattern, line):
            return said
    raise AssertionError(f"it ended without {pattern}:\n{said}")


def runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 128 + signal.SIGTERM), (signal.SIGHUP, 129), (signal.SIGKILL, -9)]
)
def test_nothing_outlives_it(tmp_path: Path, number: signal.Signals, status: int):
    with demo(tmp_path) as process:
        until(process, "rendezvous server on")
        ours = parts(process)
        assert set(ours) == {"rendezvous_server", "statemachine.local"}
        process.send_signal(number)
        assert process.wait(PATIENCE_S) == status
        eventually(lambda: not any(map(running, ours.values())))
    if number != signal.SIGKILL:
        assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_rendezvous_server_that_is_killed_is_one_warning(tmp_path: Path):
    with demo(tmp_path, each=500) as process:
        until(process, "rank 0  start")
        os.kill(parts(process)["rendezvous_server"], signal.SIGKILL)
        assert process.stdout is not None
        said = process.stdout.read()
        assert process.wait(PATIENCE_S) == 0, said
    assert said.count("rendezvous server was killed by SIGKILL") == 1
    assert "succeeded" in said


def test_an_endpoint_that_is_killed_is_told_in_one_line(tmp_path: Path):
    with demo(tmp_path, each=500) as process:
        until(process, "rank 0  start")
        os.kill(parts(process)["statemachine.local"], signal.SIGKILL)
        assert process.stdout is not None
        said = process.stdout.read()
        assert process.wait(PATIENCE_S) == 1
    assert "cosmicai: the local endpoint was killed by SIGKILL, and the results in it are lost: run the command" in said
    assert "Traceback" not in said
