"""Waiting for an endpoint, and a client of it, without one. Where time would pass there is none to wait."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError

from scripts.aws_endpoint import AwsEndpoint, EndpointError
from statemachine.definition import DEFINITION


@contextmanager
def answering(health: dict[str, Any]) -> Iterator[AwsEndpoint]:
    """An endpoint that has this health."""

    class Health(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.path == "/_local/health"
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(health).encode())

        def log_message(self, *words: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Health) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield AwsEndpoint(f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("body", [b"", b'{"status": "RUN'])
def test_an_answer_that_was_cut_off_is_no_answer(body: bytes) -> None:
    """As where the endpoint is killed between the head and the end of what it says."""

    class Killed(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "100")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Killed) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        with pytest.raises(BotoCoreError, match="Connection was closed"):
            AwsEndpoint(f"http://127.0.0.1:{server.server_port}").wait_for("arn:aws:states:us-east-1:1:execution:m:e")
        server.shutdown()
        thread.join()


def function(idle: int, running: int = 0, *errors: dict[str, str]) -> dict[str, Any]:
    return {"ready": idle + running > 0, "idle": idle, "running": running, "start_errors": list(errors)}


def functions(idle: int, *errors: dict[str, str]) -> dict[str, Any]:
    return {"rank": function(idle, 0, *errors)}


def test_an_endpoint_with_idle_workers_is_ready() -> None:
    with answering({"ready": True, "functions": functions(2)}) as endpoint:
        endpoint.wait_until_ready(2, timeout_s=60)


def test_one_that_answers_is_listening_though_no_worker_is_ready() -> None:
    with answering({"ready": False, "functions": functions(0)}) as endpoint:
        endpoint.wait_until_listening(timeout_s=60)
        with pytest.raises(EndpointError, match=r"not ready within 0\.05 s: 0 of 3 ranks are up"):
            endpoint.wait_until_ready(3, timeout_s=0.05)


@pytest.mark.parametrize(
    ("init", "rank", "lacking"),
    [
        (function(1), function(2, 1), "3 of 4 ranks are up: start the others"),
        (function(0), function(4), "no worker of init is up"),
        (function(1), function(3, 1), "workers are busy with other runs"),
    ],
)
def test_what_is_lacking_is_said_in_one_line(init: dict[str, Any], rank: dict[str, Any], lacking: str) -> None:
    every = {"init": init, "rank": rank, "summarize": function(1)}
    with (
        answering({"ready": all(each["ready"] for each in every.values()), "functions": every}) as endpoint,
        pytest.raises(EndpointError, match=f"not ready within 0.05 s: {lacking}") as caught,
    ):
        endpoint.wait_until_ready(4, 0.05)
    assert "\n" not in str(caught.value)


def test_a_worker_that_cannot_start_ends_the_wait_by_name() -> None:
    broken = {"errorType": "Runtime.ImportModuleError", "errorMessage": "no torch"}
    with (
        answering({"ready": False, "functions": functions(0, broken)}) as endpoint,
        pytest.raises(EndpointError, match=r"^the rank function cannot start: Runtime.ImportModuleError: no torch$"),
    ):
        endpoint.wait_until_ready(timeout_s=60)


def test_more_ranks_than_an_endpoint_has_workers_of_its_own_are_not_waited_for() -> None:
    for idle, own in ((2, 2), (0, 3)):  # the others will not come, whether these are up or not
        health = {"ready": idle > 0, "functions": functions(idle)}
        health["functions"]["rank"]["workers"] = own
        told = f"^http://.* has {own} workers for 4 ranks: start it with more"
        with answering(health) as endpoint, pytest.raises(EndpointError, match=told):
            endpoint.wait_until_ready(4, timeout_s=60)


def test_no_answer_is_said() -> None:
    with pytest.raises(EndpointError, match="it was not ready within 0 s: there was no answer"):
        AwsEndpoint("http://127.0.0.1:1").wait_until_listening(timeout_s=0)


def test_a_client_asks_this_endpoint_whatever_the_user_has_set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("AWS_PROFILE", "no such profile"), ("HTTPS_PROXY", "http://proxy:1"), ("AWS_REGION", "x")):
        monkeypatch.setenv(name, value)
    client = AwsEndpoint("http://127.0.0.1:1").client("s3")
    assert client.meta.endpoint_url == "http://127.0.0.1:1"
    assert client.meta.region_name == "us-east-1"
    assert client.meta.config.proxies == {}
    assert client.meta.config.s3 == {"addressing_style": "path"}


def test_a_client_is_made_once_for_each_service_and_endpoint() -> None:
    """Each takes 50 ms, and a run asks for six."""
    endpoint = AwsEndpoint("http://127.0.0.1:1")
    with ThreadPoolExecutor() as threads:
        [client] = set(threads.map(endpoint.client, ["s3"] * 8))
    assert endpoint.client("s3") is client
    assert endpoint.client("stepfunctions").meta.service_model.service_name == "stepfunctions"
    assert AwsEndpoint("http://127.0.0.1:1").client("s3") is not client
    assert endpoint == AwsEndpoint("http://127.0.0.1:1")


@dataclass
class StepFunctions:
    """What Step Functions would answer."""

    names: list[str] = field(default_factory=list)
    statuses: list[str] = field(default_factory=list)
    made: dict[str, str] = field(default_factory=dict)

    def get_paginator(self, operation: str) -> "StepFunctions":
        assert operation == "list_state_machines"
        return self

    def paginate(self) -> Iterator[dict[str, Any]]:
        """One in each page."""
        for name in self.names:
            yield {"stateMachines": [{"name": name, "stateMachineArn": f"arn:{name}"}]}

    def create_state_machine(self, **given: str) -> dict[str, str]:
        self.made = given
        return {"stateMachineArn": f"arn:{given['name']}"}

    def describe_execution(self, executionArn: str) -> dict[str, str]:  # noqa: N803 - AWS's name
        return {"status": self.statuses.pop(0), "arn": executionArn}


@dataclass(frozen=True)
class FakeEndpoint(AwsEndpoint):
    services: StepFunctions

    def client(self, service: str) -> Any:
        assert service == "stepfunctions"
        return self.services


def test_a_state_machine_is_made_once_with_the_functions_of_this_account() -> None:
    services = StepFunctions(["other"])
    assert FakeEndpoint("", services).state_machine("redshift") == "arn:redshift"
    assert services.made["name"] == "redshift"
    assert "${" not in services.made["definition"]
    assert "${" in DEFINITION.read_text()
    assert services.made["definition"].count(":123456789012:function:rank") == 1
    again = StepFunctions(["other", "redshift"])
    assert FakeEndpoint("", again).state_machine("redshift") == "arn:redshift"
    assert not again.made


def test_an_execution_is_looked_at_until_it_has_ended() -> None:
    services = StepFunctions(statuses=["RUNNING", "FAILED"])
    assert FakeEndpoint("", services).wait_for("arn:1") == {"status": "FAILED", "arn": "arn:1"}


def test_an_endpoint_is_asked_though_no_time_is_left() -> None:
    with answering({"ready": True, "functions": functions(2)}) as endpoint:
        endpoint.wait_until_ready(2, timeout_s=0)
