"""How processes that are measured are started, asked and ended."""

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from scripts.bench.errors import BenchmarkError

ROOT = Path(__file__).resolve().parents[2]
STOP_TIMEOUT_S = 10.0
COMMAND_TIMEOUT_S = 600.0  # of a whole command, such as a run of many ranks on a busy machine


class MeasuredProcess:
    """A Python process that answers each line of JSON on its input by one line of JSON on its output.

    It says one line on its own when it is ready, and ends when its input does.
    """

    def __init__(
        self,
        name: str,
        module: str,
        spec: Mapping[str, Any],
        environ: Mapping[str, str],
        limit_s: float,
        *,
        quiet: bool,
    ) -> None:
        """Start it.

        Args:
            name: What errors call it.
            module: What it runs, with `spec` as JSON for its only argument.
            spec: What is to be measured.
            environ: Its whole environment.
            limit_s: The longest that it may take to answer, in seconds.
            quiet: Whether its errors are thrown away.
        """
        self.name = name
        self._limit_s = limit_s
        self._quiet = quiet
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, json.dumps(spec)],
            cwd=ROOT,
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if quiet else None,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input, self._output = self._process.stdin, self._process.stdout
        self.pid = self._process.pid

    def tell(self, **what: object) -> None:
        """Write a line to its input. Raises BenchmarkError where it has ended."""
        try:
            self._input.write(json.dumps(what).encode() + b"\n")
            self._input.flush()
        except OSError as error:
            raise BenchmarkError(self._ended()) from error

    def answer(self) -> dict[str, Any]:
        """Return its next line. Raises BenchmarkError where there is none in time."""
        deadline, line = time.monotonic() + self._limit_s, b""
        while not line.endswith(b"\n"):  # it writes one line at a time, each only when it was asked for the next
            ready, _, _ = select.select([self._output], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise BenchmarkError(f"{self.name} said nothing for {self._limit_s:g} s")
            more = os.read(self._output.fileno(), 1 << 16)
            if not more:
                raise BenchmarkError(self._ended())
            line += more
        answer: dict[str, Any] = json.loads(line)
        return answer

    def end_input(self) -> None:
        """Tell it to end, without waiting until it has."""
        with suppress(OSError):  # it may have ended before it took the last line
            self._input.close()

    def stop(self) -> None:
        """End it, by force where it does not."""
        self.end_input()
        self._output.close()
        wait_or_kill(self._process)

    def _ended(self) -> str:
        return f"{self.name} has ended" + ("" if self._quiet else "; what it said is above")


def run_python(
    arguments: Sequence[str],
    folder: Path = ROOT,
    environ: Mapping[str, str] | None = None,
) -> str:
    """Return what a Python process prints.

    Args:
        arguments: What follows the interpreter on its command line.
        folder: Where it runs.
        environ: Its whole environment, or None for that of this process.

    Raises:
        BenchmarkError: It failed, with the last line of what it complained of, or it took too long.
    """
    command = f"python {' '.join(arguments[:3])}"
    try:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=folder,
            env=environ,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        last_words = (error.stderr or error.stdout).strip().splitlines()[-1:]
        raise BenchmarkError(f"{command} failed: {''.join(last_words)}") from error
    except subprocess.TimeoutExpired as error:
        raise BenchmarkError(f"{command} took over {COMMAND_TIMEOUT_S:g} s") from error
    return done.stdout


def wait_or_kill(process: "subprocess.Popen[Any]") -> None:
    """Wait until a process has ended that was told to, and end it by force where it does not."""
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
