"""The whole system as processes of this machine: a rendezvous server and a local AWS endpoint with its workers."""

import http.client
import json
import os
import secrets
import signal
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from lambda_image.errors import RunError
from statemachine.definition import definition
from statemachine.local.child import command as child_command
from statemachine.local.settings import for_this_machine

REGION = "us-east-1"
START_TIMEOUT_S = 60.0  # importing PyTorch in several processes at once takes its time on a small machine
STOP_TIMEOUT_S = 10.0
HEALTH_TIMEOUT_S = 5.0  # of one look; an endpoint that is stopped in a debugger must not hold up the deadline
ENDING_S = 1.0  # from the last answer of a process until its status can be had
POLL_INTERVAL_S = 0.1

RENDEZVOUS, ENDPOINT = "rendezvous server", "local endpoint"
NO_FILE = (None, None, os.devnull, None)  # botocore: no name in the configuration, no environment variable, the default

Event = dict[str, Any]
Listener = Callable[[Event], None]


class LocalCloudError(RunError):
    """A part of the local system did not start, or ended while it was needed."""


@dataclass(frozen=True)
class LocalCloud:
    """What runs, and how to reach it."""

    endpoint_url: str
    rendezvous_endpoint: str
    processes: Mapping[str, subprocess.Popen[str]]
    listener: Listener

    def client(self, service: str) -> Any:
        """Of this endpoint, whatever proxies, profiles and endpoints the user has set up for AWS itself."""
        own = {"profile": (None, None, None, None), "config_file": NO_FILE, "credentials_file": NO_FILE}
        session = boto3.Session(botocore_session=botocore.session.Session(session_vars=own))
        make_client: Any = session.client  # typed for each service by name, which is not known here
        return make_client(
            service,
            endpoint_url=self.endpoint_url,
            region_name=REGION,
            aws_access_key_id="local",
            aws_secret_access_key="local",  # noqa: S106 - what the endpoint's own workers use
            config=Config(s3={"addressing_style": "path"}, retries={"mode": "standard"}, proxies={}),
        )

    def create_state_machine(self, name: str) -> str:
        """Its ARN."""
        arns = {
            f"{function.capitalize()}FunctionArn": f"arn:aws:lambda:{REGION}:123456789012:function:{function}"
            for function in ("init", "rank", "summarize")
        }
        machine = self.client("stepfunctions").create_state_machine(
            name=name, definition=definition(arns), roleArn="arn:aws:iam::123456789012:role/local"
        )
        return str(machine["stateMachineArn"])

    def check(self) -> None:
        """Raises LocalCloudError if a part has ended."""
        for name, process in self.processes.items():
            if process.poll() is not None:
                raise LocalCloudError(f"the {name} {ending(process.returncode)}")

    def wait_until_ready(self) -> None:
        """Returns when every worker waits for work; raises LocalCloudError if that takes too long."""
        deadline, health = time.monotonic() + START_TIMEOUT_S, None
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        while time.monotonic() < deadline:
            self.check()
            with suppress(OSError, http.client.HTTPException):  # it may be ending, which the next check tells
                with opener.open(f"{self.endpoint_url}/_local/health", timeout=HEALTH_TIMEOUT_S) as answer:
                    health = json.load(answer)
                if health["ready"]:
                    return
                for name, function in health["functions"].items():
                    for error in function["start_errors"]:
                        message = f"the {name} function cannot start: {error['errorType']}: {error['errorMessage']}"
                        raise LocalCloudError(message)
            time.sleep(POLL_INTERVAL_S)
        raise LocalCloudError(f"not all workers were ready within {START_TIMEOUT_S:g} s: {health}")

    def wait_for(self, execution: str, each: Callable[[], None] = lambda: None) -> dict[str, Any]:
        """The ended execution as Step Functions describes it; `each` is called between two looks at it.

        It goes on without a rendezvous server, as its ranks do, and says so once.
        """
        client, introduced = self.client("stepfunctions"), True
        while True:
            described: dict[str, Any] = client.describe_execution(executionArn=execution)
            if described["status"] != "RUNNING":
                return described
            status = self.processes[RENDEZVOUS].poll()
            if introduced and status is not None:
                introduced = False
                lost = f"the {RENDEZVOUS} {ending(status)}: ranks that have not met send their parts by way of storage"
                self.listener({"event": "warning", "message": lost})
            each()
            time.sleep(POLL_INTERVAL_S)


@contextmanager
def local_cloud(workers: int, listener: Listener, environ: Mapping[str, str] | None = None) -> Iterator[LocalCloud]:
    """Starts everything on free ports, with `workers` ranks at a time; ends everything however the block ends.

    It is still getting ready when the block begins, so that the block can do other work first.

    `listener` gets every event that a part logs, in a thread of that part.
    """
    base = {**for_this_machine(os.environ), **(environ or {}), "RENDEZVOUS_KEY": secrets.token_hex(32)}
    processes: dict[str, subprocess.Popen[str]] = {}
    try:
        command = ["rendezvous_server", "--host", "127.0.0.1", "--port", "0"]
        port = _start(processes, RENDEZVOUS, command, base, listener)
        rendezvous = f"127.0.0.1:{port}"
        command = ["statemachine.local", "--port", "0", "--workers", str(workers)]
        port = _start(processes, ENDPOINT, command, {**base, "RENDEZVOUS_ENDPOINT": rendezvous}, listener)
        cloud = LocalCloud(f"http://127.0.0.1:{port}", rendezvous, processes, listener)
        yield cloud
    except BotoCoreError as error:  # no answer; what AWS itself would refuse is a ClientError
        if ENDPOINT in processes:
            with suppress(subprocess.TimeoutExpired):
                status = processes[ENDPOINT].wait(ENDING_S)
                raise LocalCloudError(f"the {ENDPOINT} {ending(status)}") from error
        raise LocalCloudError(f"the {ENDPOINT} does not answer: {error}") from error
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
    """What happened to a process with this status, as subprocess has it."""
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
        raise LocalCloudError(f"the {name} did not start: it {ending(process.wait())}")
    port: int = json.loads(line)["port"]
    threading.Thread(target=_listen, args=(process.stdout, listener), daemon=True).start()
    return port


def _listen(lines: IO[str], listener: Listener) -> None:
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            event = {"event": "log", "line": line.rstrip("\n")}
        listener(event)
