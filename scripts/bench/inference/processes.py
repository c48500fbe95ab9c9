"""Starting, asking and ending the processes that are measured."""

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from scripts.bench.errors import BenchmarkError
from scripts.bench.inference.contenders import PUBLISHED, Spec, quiet_environ

ROOT = Path(__file__).resolve().parents[3]
ANSWER_TIMEOUT_S = 120.0  # the longest step, a start with PyTorch or a round of the published loop, takes 10 s
STOP_TIMEOUT_S = 10.0


class Worker:
    """A contender's process. `cold_start_s`: from its start until it had predicted once."""

    def __init__(self, spec: Spec, process: "subprocess.Popen[bytes]", started: float) -> None:
        self._name, self._process = spec.name, process
        self.first = self._answer()
        self.cold_start_s = time.perf_counter() - started

    def ask(self, **what: float) -> Mapping[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what).encode() + b"\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Mapping[str, Any]:
        """The next line: it writes one each time that it is asked."""
        assert self._process.stdout is not None
        deadline, line = time.monotonic() + ANSWER_TIMEOUT_S, b""
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([self._process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise BenchmarkError(f"{self._name} said nothing for {ANSWER_TIMEOUT_S:g} s")
            more = os.read(self._process.stdout.fileno(), 1 << 16)
            if not more:
                raise BenchmarkError(f"{self._name} has ended; what it said is above")
            line += more
        answer: Mapping[str, Any] = json.loads(line)
        return answer


@contextmanager
def running(spec: Spec) -> Iterator[Worker]:
    command = [sys.executable, "-m", "scripts.bench.inference.worker", json.dumps(asdict(spec))]
    started = time.perf_counter()
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=quiet_environ(spec.threads),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL if spec.name == PUBLISHED else None,  # the profiler talks
    )
    try:
        yield Worker(spec, process, started)
    finally:
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            pipe.close()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def duration_s(arguments: Sequence[str]) -> float:
    """Of a Python process with these arguments, from its start to its end."""
    started = time.perf_counter()
    run_python(arguments)
    return time.perf_counter() - started


def run_python(arguments: Sequence[str]) -> str:
    """What a Python process prints; raises BenchmarkError with what it complains of."""
    try:
        done = subprocess.run(
            [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=ANSWER_TIMEOUT_S, check=True
        )
    except subprocess.CalledProcessError as error:
        last_words = error.stderr.strip().splitlines()[-1:]
        raise BenchmarkError(f"python {' '.join(arguments[:2])} failed: {''.join(last_words)}") from error
    except subprocess.TimeoutExpired as error:
        raise BenchmarkError(f"python {' '.join(arguments[:2])} took over {ANSWER_TIMEOUT_S:g} s") from error
    return done.stdout
