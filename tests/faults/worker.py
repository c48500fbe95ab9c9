"""A process that serves one function, which a test can stop, kill and limit."""

import json
import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from statemachine.local.child import command as child_command
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
        return subprocess.Popen(command, cwd=ROOT, env=self._environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def _listen(self) -> None:
        while True:
            process = self.process
            assert process.stdout is not None
            for line in process.stdout:
                self._tell(line, process.pid)
            process.wait()
            if self._over:
                return
            self.process = self._started()
            if self._over:
                self.process.kill()

    def _tell(self, line: bytes, pid: int) -> None:
        try:
            event = json.loads(line)
        except ValueError:
            event = {"event": "log", "line": line.decode(errors="replace").rstrip()}
        if isinstance(event, dict):
            self._events({**event, "function": self.name, "worker": pid})
