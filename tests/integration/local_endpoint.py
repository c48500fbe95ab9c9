"""The local AWS endpoint as a process, for tests."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

PATIENCE_S = 60.0  # for whatever must happen; slow machines need it, others never do


class Endpoint:
    """The endpoint as a process, its log, and clients for it."""

    def __init__(
        self,
        folder: Path,
        functions: dict[str, dict[str, Any]],
        workers: int,
        flags: Sequence[str] = (),
        environ: Mapping[str, str] | None = None,
    ) -> None:
        (folder / "functions.json").write_text(json.dumps(functions))
        self.log = folder / "log"
        search = os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
        command = [sys.executable, "-m", "statemachine.local", "--port", "0", "--workers", str(workers), *flags]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*command, "--functions", folder / "functions.json"],
                stdout=log,
                env={**os.environ, "PYTHONPATH": search, **(environ or {})},
            )
        eventually(lambda: self.log.read_text().count("\n") > 0, self)
        self.listening = self.events()[0]
        assert self.listening["event"] == "listening"
        self.url = f"http://127.0.0.1:{self.listening['port']}"

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines(keepends=True) if line.endswith("\n")]

    def health(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.url}/_local/health", timeout=PATIENCE_S) as response:
            return json.load(response)

    def workers(self, function: str | None = None) -> set[int]:
        """The processes of all workers that were started, or of one function's."""
        started = [event for event in self.events() if event["event"] == "worker_started"]
        return {event["worker"] for event in started if function in (None, event["function"])}

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"max_attempts": 0}, max_pool_connections=20),
        )

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)


def eventually(condition: Callable[[], object], endpoint: Endpoint | None = None) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert endpoint is None or endpoint.process.poll() is None, "the endpoint has ended"
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def running(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status != "Z"
