"""The whole system as processes of this machine: a rendezvous server, and a local AWS endpoint with its workers."""

import json
import os
import secrets
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, ClassVar

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError

from lambda_image.json_text import parse_json
from scripts.aws_endpoint import AwsEndpoint, EndpointError
from scripts.extras import require
from statemachine.local.child import command as child_command
from statemachine.local.settings import for_this_machine

STOP_TIMEOUT_S = 10.0
ENDING_S = 1.0  # from the last answer of a process until its status can be had

NEEDED = ("aiohttp", "moto", "awslambdaric", "prometheus_client")  # by the processes that are started here

RENDEZVOUS, ENDPOINT = "rendezvous server", "local endpoint"

Event = dict[str, Any]
Listener = Callable[[Event], None]


@dataclass(frozen=True)
class LocalCloud(AwsEndpoint):
    """The processes that run, and how to reach them."""

    rendezvous_endpoint: str
    processes: Mapping[str, subprocess.Popen[str]]
    listener: Listener
    stays: ClassVar[bool] = False

    def check(self) -> None:
        """Raises EndpointError if a part has ended."""
        for name, process in self.processes.items():
            if process.poll() is not None:
                raise EndpointError(f"the {name} {ending(process.returncode)}")

    def stop(self) -> None:
        """Asks all parts to end, and does not wait for that."""
        for process in self.processes.values():
            process.terminate()

    def lookout(self) -> Callable[[], None]:
        """Makes what tells, between two looks at an execution, once and no more that the rendezvous server is lost."""
        introduced = True

        def look() -> None:
            nonlocal introduced
            status = self.processes[RENDEZVOUS].poll()
            if introduced and status is not None:
                introduced = False
                lost = f"the {RENDEZVOUS} {ending(status)}. Ranks that have not met send their parts by way of storage"
                self.listener({"event": "warning", "message": lost})

        return look


@contextmanager
def local_cloud(workers: int, listener: Listener, environ: Mapping[str, str] | None = None) -> Iterator[LocalCloud]:
    """Starts everything on free ports, and ends everything however the block ends.

    It is still getting ready when the block begins, so that the block can do other work first.

    Args:
        workers: how many ranks run at a time.
        listener: gets every event that a part logs, in a thread of that part.
        environ: variables for all processes, beside those of this one.

    Yields:
        The local cloud.

    Raises:
        EndpointError: a part did not start, or ended while it was needed.
    """
    require(*NEEDED)
    # The user may have a key file for a real server.
    key = {"RENDEZVOUS_KEY": secrets.token_hex(32), "RENDEZVOUS_KEY_FILE": ""}
    base = {**for_this_machine(os.environ), **(environ or {}), **key}
    processes: dict[str, subprocess.Popen[str]] = {}
    try:
        command = ["rendezvous_server", "--host", "127.0.0.1", "--port", "0"]
        port = _start(processes, RENDEZVOUS, command, base, listener)
        rendezvous = f"127.0.0.1:{port}"
        command = ["statemachine.local", "--port", "0", "--workers", str(workers)]
        port = _start(processes, ENDPOINT, command, {**base, "RENDEZVOUS_ENDPOINT": rendezvous}, listener)
        cloud = LocalCloud(f"http://127.0.0.1:{port}", rendezvous, processes, listener)
        yield cloud
    except (ClientError, Boto3Error) as error:  # it is ours and refuses nothing, unless the machine has no room
        raise EndpointError(f"the {ENDPOINT} refuses: {' '.join(str(error).split())}") from error
    except BotoCoreError as error:  # no answer
        if ENDPOINT in processes:
            with suppress(subprocess.TimeoutExpired):
                status = processes[ENDPOINT].wait(ENDING_S)
                lost = f"the {ENDPOINT} {ending(status)}, and the results in it are lost: run the command again"
                raise EndpointError(lost) from error
        raise EndpointError(f"the {ENDPOINT} does not answer: {error}") from error
    finally:
        for process in processes.values():
            process.terminate()
        for process in processes.values():
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def ending(status: int) -> str:
    """Describes the end of a process with this status, as subprocess has it."""
    if status < 0:
        return f"was killed by {signal.Signals(-status).name}"
    return f"ended with status {status}; its own message is above"


def _start(
    processes: dict[str, subprocess.Popen[str]],
    name: str,
    command: list[str],
    environ: Mapping[str, str],
    listener: Listener,
) -> int:
    """The port that the new process says it listens on. Whatever it logs afterwards goes to `listener`."""
    process = subprocess.Popen(
        child_command(*command),
        stdout=subprocess.PIPE,
        env=environ,
        text=True,
        cwd=Path(__file__).parent.parent,
    )
    processes[name] = process
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise EndpointError(f"the {name} did not start: it {ending(process.wait())}")
    port: int = json.loads(line)["port"]
    threading.Thread(target=_listen, args=(process.stdout, listener), daemon=True).start()
    return port


def _listen(lines: IO[str], listener: Listener) -> None:
    for line in lines:
        try:
            event = parse_json(line)
        except ValueError:
            event = {"event": "log", "line": line.rstrip("\n")}
        listener(event)
