"""A process that serves one function, which a test can stop, kill and limit."""

import json
import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from statemachine.local.child import command as child_command
from tests.faults.held_rank import PHASE
from tests.integration.system import Events

ROOT = Path(__file__).resolve().parents[2]


class Worker:
    """It stands for an execution environment of Lambda. One that ends is followed by another.

    Attributes:
        name: The function.
        host: The place of its host in the segment, 0 where there is none.
        sound: Whether a later run may have it, because it is as every other one.
    """

    def __init__(
        self,
        name: str,
        handler: str,
        environ: Mapping[str, str],
        events: Events,
        wrapper: Sequence[str] = (),
        host: int = 0,
        sound: bool = True,
    ) -> None:
        self.name, self.host, self.sound = name, host, sound
        self._handler, self._environ, self._events, self._wrapper = handler, environ, events, wrapper
        self._over = False
        self.process = self._started()
        self._thread = threading.Thread(target=self._listen, name=f"listens to {name}", daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int:
        return self.process.pid

    def signal(self, number: int) -> None:
        """Sends a signal. One that was stopped may wake at any time, so that no later run may have it."""
        self.sound &= number != signal.SIGSTOP
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def stop(self) -> None:
        """Ends it for good."""
        self._over = True
        self.signal(signal.SIGKILL)
        self._thread.join(10)

    def _started(self) -> "subprocess.Popen[bytes]":
        """Starts the process, in a thread that stays, since the process ends with it."""
        command = [*self._wrapper, *child_command("awslambdaric", self._handler)]
        return subprocess.Popen(
            command,
            cwd=ROOT,
            env=self._environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def _listen(self) -> None:
        while True:
            process = self.process
            assert process.stdout is not None
            for line in process.stdout:
                event = self._read(line)
                self._events({**event, "function": self.name, "worker": process.pid})
                if event.get("event") == PHASE:
                    go_on(process)
            process.wait()
            if self._over:
                return
            self.process = self._started()
            if self._over:
                self.process.kill()

    def _read(self, line: bytes) -> dict[str, Any]:
        try:
            event = json.loads(line)
        except ValueError:
            event = None
        return event if isinstance(event, dict) else {"event": "log", "line": line.decode(errors="replace").rstrip()}


def go_on(process: "subprocess.Popen[Any]") -> None:
    """Lets a rank go on that waits behind a line about a phase (held_rank.py), unless it has ended."""
    assert process.stdin is not None
    with suppress(OSError):
        os.write(process.stdin.fileno(), b"\n")
