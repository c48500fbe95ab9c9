"""A process that is measured, as it answers, ends and says nothing."""

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest

from scripts.bench.errors import BenchmarkError
from scripts.bench.processes import MeasuredProcess

ECHO = """
import json, sys
print(json.dumps({"ready": json.loads(sys.argv[1])["name"]}), flush=True)
for line in sys.stdin:
    print(line, end="", flush=True)
"""


class Start(Protocol):
    def __call__(self, limit_s: float = 30.0) -> MeasuredProcess: ...


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    (tmp_path / "echo.py").write_text(ECHO)
    environ = {**os.environ, "PYTHONPATH": str(tmp_path)}
    with ExitStack() as stack:

        def start(limit_s: float = 30.0) -> MeasuredProcess:
            process = MeasuredProcess("a rank", "echo", {"name": "one"}, environ, limit_s, quiet=True)
            stack.callback(process.stop)
            return process

        yield start


def test_it_answers_each_line(start: Start):
    process = start()
    assert process.answer() == {"ready": "one"}
    for size in (1, 2):
        process.tell(size=size)
        assert process.answer() == {"size": size}


def test_that_it_has_ended_is_told(start: Start):
    process = start()
    process.answer()
    os.kill(process.pid, signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    with pytest.raises(BenchmarkError, match="a rank has ended"):
        process.answer()
    with pytest.raises(BenchmarkError, match="a rank has ended"):
        process.tell(size=1)


def test_that_it_says_nothing_is_told(start: Start):
    with pytest.raises(BenchmarkError, match="a rank said nothing for 0 s"):
        start(limit_s=0.0).answer()
