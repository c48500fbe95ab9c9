"""A local AWS endpoint (`python -m statemachine.local`), wherever it runs, with clients for it and executions on it."""

import http.client
import json
import os
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import ConnectionClosedError

from lambda_image.errors import RunError
from scripts.words import counted
from statemachine.definition import definition

REGION = "us-east-1"
START_TIMEOUT_S = 60.0  # importing PyTorch in several processes at once takes its time on a small machine
HEALTH_TIMEOUT_S = 5.0  # of one look; an endpoint that is stopped in a debugger must not hold up the deadline
POLL_INTERVAL_S = 0.1
NO_FILE = (None, None, os.devnull, None)  # botocore: no name in the configuration, no environment variable, the default


class EndpointError(RunError):
    """A part of the local system did not start, or ended while it was needed."""


class _Clients:
    """The clients that were made. Each takes 50 ms, most of them for the models of AWS that their session has read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # a session makes one client at a time
        self._session: boto3.Session | None = None
        self._made: dict[str, Any] = {}

    def get(self, service: str, make: Callable[[boto3.Session, str], Any]) -> Any:
        with self._lock:
            if service not in self._made:
                if self._session is None:
                    own = {"profile": (None, None, None, None), "config_file": NO_FILE, "credentials_file": NO_FILE}
                    self._session = boto3.Session(botocore_session=botocore.session.Session(session_vars=own))
                self._made[service] = make(self._session, service)
            return self._made[service]


@dataclass(frozen=True)
class AwsEndpoint:
    """A local AWS endpoint that is up, or starts."""

    endpoint_url: str
    stays: ClassVar[bool] = True  # when the command that uses it ends
    _clients: _Clients = field(default_factory=_Clients, init=False, repr=False, compare=False)

    def client(self, service: str) -> Any:
        """Returns the boto3 client of a service, which is one for all callers and threads.

        It asks this endpoint, whatever proxies and profiles the user has set up for AWS itself.
        """
        return self._clients.get(service, self._make_client)

    def _make_client(self, session: boto3.Session, service: str) -> Any:
        make_client: Any = session.client  # typed for each service by name, which is not known here
        client = make_client(
            service,
            endpoint_url=self.endpoint_url,
            region_name=REGION,
            aws_access_key_id="local",
            aws_secret_access_key="local",  # noqa: S106 - what the endpoint's own workers use
            config=Config(s3={"addressing_style": "path"}, retries={"mode": "standard"}, proxies={}),
        )
        client.meta.events.register("before-parse", self._check_length)
        return client

    def _check_length(self, operation_model: Any, response_dict: Mapping[str, Any], **_: object) -> None:
        """Refuses an answer that was cut off, which botocore takes for one without content. The endpoint was killed."""
        headers, body = response_dict["headers"], response_dict["body"]
        promised = headers.get("content-length", "")
        whole = operation_model.http["method"] == "HEAD" or "content-encoding" in headers or not promised.isdecimal()
        if not whole and isinstance(body, bytes) and len(body) != int(promised):
            raise ConnectionClosedError(endpoint_url=self.endpoint_url)

    def state_machine(self, name: str) -> str:
        """Finds the state machine of this name, or makes it, and returns its ARN."""
        client = self.client("stepfunctions")
        for page in client.get_paginator("list_state_machines").paginate():
            for machine in page["stateMachines"]:
                if machine["name"] == name:
                    return str(machine["stateMachineArn"])
        arns = {
            f"{function.capitalize()}FunctionArn": f"arn:aws:lambda:{REGION}:123456789012:function:{function}"
            for function in ("init", "rank", "summarize")
        }
        role = "arn:aws:iam::123456789012:role/local"
        made = client.create_state_machine(name=name, definition=definition(arns), roleArn=role)
        return str(made["stateMachineArn"])

    def check(self) -> None:
        """Raises EndpointError where a part has ended. An endpoint whose processes are not ours cannot tell."""

    def wait_until_listening(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Waits until it answers, whether or not it has workers.

        Raises:
            EndpointError: that took longer than `timeout_s` seconds.
        """
        self._wait(lambda health: True, "it", timeout_s)

    def wait_until_ready(self, ranks: int = 0, timeout_s: float = START_TIMEOUT_S) -> None:
        """Waits until every worker, and at least `ranks` for ranks, waits for work.

        Raises:
            EndpointError: that took longer than `timeout_s` seconds, a worker cannot start, or the endpoint starts
                workers itself, and fewer than `ranks`.
        """

        def ready(health: dict[str, Any]) -> bool:
            if health["ready"] and health["functions"]["rank"]["idle"] >= ranks:
                return True
            for name, function in health["functions"].items():
                for error in function["start_errors"]:
                    message = f"the {name} function cannot start: {error['errorType']}: {error['errorMessage']}"
                    raise EndpointError(message)
            own = health["functions"]["rank"].get("workers", 0)  # which it starts anew when they end, and no others
            if 0 < own < ranks and _up(health) < ranks:
                told = f"{self.endpoint_url} has {counted(own, 'worker')} for {ranks} ranks"
                raise EndpointError(f"{told}: start it with more (--workers), or give a smaller --world-size")
            return False

        def lacking(health: dict[str, Any]) -> str:
            if (up := _up(health)) < ranks:
                return (
                    f"{up} of {ranks} ranks are up: start the others (docker compose up --detach rank, or --workers "
                    "of the endpoint), or give a smaller --world-size"
                )
            down = [name for name, function in health["functions"].items() if not function["ready"]]
            return f"no worker of {', '.join(down)} is up" if down else "workers are busy with other runs"

        self._wait(ready, f"all workers, {ranks} for ranks," if ranks else "all workers", timeout_s, lacking)

    def _wait(
        self,
        condition: Callable[[dict[str, Any]], bool],
        what: str,
        timeout_s: float,
        lacking: Callable[[dict[str, Any]], str] = str,
    ) -> None:
        deadline, health = time.monotonic() + timeout_s, None
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        while True:  # at least once, however busy the machine is
            self.check()
            with suppress(OSError, http.client.HTTPException):  # it may be ending, which the next check tells
                with opener.open(f"{self.endpoint_url}/_local/health", timeout=HEALTH_TIMEOUT_S) as answer:
                    health = json.load(answer)
                if condition(health):
                    return
            if time.monotonic() >= deadline:
                break
            time.sleep(POLL_INTERVAL_S)
        seen = "there was no answer" if health is None else lacking(health)
        raise EndpointError(f"{self.endpoint_url}: {what} was not ready within {timeout_s:g} s: {seen}")

    def lookout(self) -> Callable[[], None]:
        """Makes what is to be called between two looks at an execution. An endpoint of others' needs none."""
        return lambda: None

    def wait_for(self, execution: str) -> dict[str, Any]:
        """Waits for the end of an execution.

        Args:
            execution: its ARN.

        Returns:
            The execution as Step Functions describes it.
        """
        client, look = self.client("stepfunctions"), self.lookout()
        while True:
            described: dict[str, Any] = client.describe_execution(executionArn=execution)
            if described["status"] != "RUNNING":
                return described
            look()
            time.sleep(POLL_INTERVAL_S)


def _up(health: Mapping[str, Any]) -> int:
    """How many workers there are for ranks."""
    rank = health["functions"]["rank"]
    return int(rank["idle"] + rank["running"])
