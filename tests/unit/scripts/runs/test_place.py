import argparse
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lambda_image.errors import UsageError
from scripts.aws_endpoint import EndpointError
from scripts.runs import place as places
from scripts.runs.place import Place, check_url, is_local, open_place
from scripts.stack.account import Account, AccountError

OUTPUTS = {
    "StateMachineArn": "arn:aws:states:eu-west-1:123456789012:stateMachine:mine",
    "BucketName": "mine-bucket",
    "InitFunction": "mine-init",
    "RankFunction": "mine-rank",
    "SummarizeFunction": "mine-summarize",
}


def refused(code: str, message: str = "no") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "DescribeStacks")


@dataclass
class Services:
    """An account's CloudFormation and Step Functions."""

    status: Any = "CREATE_COMPLETE"
    outputs: dict[str, str] = field(default_factory=lambda: dict(OUTPUTS))
    machines: tuple[str, ...] = ()

    def describe_stacks(self, StackName: str) -> dict[str, Any]:  # noqa: N803 - AWS's name
        if isinstance(self.status, Exception):
            raise self.status
        outputs = [{"OutputKey": key, "OutputValue": value} for key, value in self.outputs.items()]
        return {"Stacks": [{"StackName": StackName, "StackStatus": self.status, "Outputs": outputs}]}

    def get_paginator(self, operation: str) -> "Services":
        assert operation == "list_state_machines"
        return self

    def paginate(self) -> Iterator[dict[str, Any]]:
        for name in self.machines:
            yield {"stateMachines": [{"name": name, "stateMachineArn": f"arn:{name}"}]}


def opened(services: Services, monkeypatch: pytest.MonkeyPatch, **flags: str) -> Place:
    class FakeAccount:
        region = "eu-west-1"

        @staticmethod
        def open(profile: str | None, region: str | None, endpoint_url: str | None) -> "FakeAccount":
            return FakeAccount()

        def client(self, service: str) -> Any:
            return services

    monkeypatch.setattr(places, "Account", FakeAccount)
    given = {"stack": None, "region": None, "profile": None, "endpoint_url": None, **flags}
    return open_place(argparse.Namespace(**given))


def test_everything_is_found_by_the_outputs_of_the_stack(monkeypatch: pytest.MonkeyPatch):
    place = opened(Services(), monkeypatch, stack="mine", region="eu-west-1")
    assert (place.machine, place.bucket) == (OUTPUTS["StateMachineArn"], "mine-bucket")
    assert place.functions == {"init": "mine-init", "rank": "mine-rank", "summarize": "mine-summarize"}
    assert (place.rendezvous, place.local) == (None, None)
    assert place.command("watch", "a b") == "cosmicai watch 'a b' --stack mine --region eu-west-1"
    standing = Services(outputs={**OUTPUTS, "RendezvousEndpoint": "nlb:10000"})
    assert opened(standing, monkeypatch).rendezvous == "nlb:10000"


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (
            refused("ValidationError", "Stack with id cosmicai does not exist"),
            "there is no stack cosmicai in eu-west-1:",
        ),
        ("REVIEW_IN_PROGRESS", "there is no stack cosmicai in eu-west-1: name the region or the stack"),
        ("ROLLBACK_COMPLETE", "the stack cosmicai is ROLLBACK_COMPLETE, and cannot be used: cosmicai deploy makes it"),
        ("CREATE_IN_PROGRESS", "the stack cosmicai is CREATE_IN_PROGRESS: wait until that has ended"),
        ("UPDATE_ROLLBACK_FAILED", "continue-update-rollback"),
    ],
)
def test_a_stack_that_is_half_made_is_told_with_the_next_step(status: Any, told: str, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(AccountError, match=told):
        opened(Services(status), monkeypatch)


def test_a_stack_of_another_version_is_told_by_what_it_lacks(monkeypatch: pytest.MonkeyPatch):
    outputs = {key: value for key, value in OUTPUTS.items() if key != "RankFunction"}
    with pytest.raises(AccountError, match="has no output RankFunction: cosmicai deploy brings it up to date"):
        opened(Services(outputs=outputs), monkeypatch)


def test_who_may_not_look_at_stacks_starts_runs_by_the_name_of_the_state_machine(monkeypatch: pytest.MonkeyPatch):
    denied = refused("AccessDenied")
    place = opened(Services(denied, machines=("other", "cosmicai")), monkeypatch)
    assert (place.machine, place.bucket, place.functions["rank"]) == ("arn:cosmicai", None, "cosmicai-rank")
    with pytest.raises(ClientError):
        opened(Services(denied, machines=("other",)), monkeypatch)


@contextmanager
def answering(body: bytes) -> Iterator[str]:
    """A server that answers every GET by this."""

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if body else 404)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    ("body", "ours"), [(b'{"ready": true, "functions": {}}', True), (b"", False), (b"<html>", False), (b"[]", False)]
)
def test_an_endpoint_of_ours_is_known_by_its_health(body: bytes, ours: bool):
    with answering(body) as url:
        assert is_local(url) == ours


def test_an_endpoint_that_nobody_has_started_is_told():
    with pytest.raises(
        EndpointError, match=r"http://127\.0\.0\.1:9 does not answer .*: start the endpoint, or correct"
    ):
        is_local("http://127.0.0.1:9")  # discard: nobody listens there


@pytest.mark.parametrize("url", ["127.0.0.1:4599", "http://a b", "http://127.0.0.1:99999", "http://"])
def test_what_is_no_url_is_refused_with_an_example(url: str):
    with pytest.raises(UsageError, match=r"--endpoint-url is .*; allowed: a URL such as http"):
        check_url(url)


def test_an_endpoint_of_others_is_named_where_it_refuses(monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> Account:
        raise AccountError("AWS denies it")

    monkeypatch.setattr(Account, "open", refuse)
    with answering(b"") as url:
        args = argparse.Namespace(stack=None, region=None, profile=None, endpoint_url=url)
        with pytest.raises(
            AccountError, match=rf"AWS denies it \(asked at {url}, which is no local endpoint of ours\)"
        ):
            open_place(args)
