"""Where runs take place: a stack in an account of AWS, or the local endpoint. What comes after is one code for both."""

import argparse
import http.client
import json
import shlex
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from lambda_image.address import Address
from lambda_image.errors import UsageError
from scripts.aws_endpoint import HEALTH_TIMEOUT_S, REGION, AwsEndpoint, EndpointError
from scripts.place_flags import STACK, check_name
from scripts.stack.account import DENIED, Account, AccountError, code_of
from scripts.stack.change_set import STILLBORN, Stack
from statemachine.definition import STATE_MACHINE

LOCAL_BUCKET = "cosmicai-invoke"
FUNCTIONS = ("init", "rank", "summarize")
ANYWHERE = Address("unknown", 1)  # stands for a rendezvous server that Init may know and nobody else does
LOCAL_PAUSE_S, AWS_PAUSE_S = 0.1, 1.0  # at first, between two looks at a run


@dataclass(frozen=True)
class Place:
    """A state machine with its functions and its bucket, and clients for them."""

    name: str  # for messages
    client: Callable[[str], Any]  # makes a boto3 client of a service
    region: str
    machine: str  # ARN of the state machine
    bucket: str | None  # None where the stack may not be looked at
    functions: Mapping[str, str] = field(default_factory=lambda: {name: name for name in FUNCTIONS})
    rendezvous: str | None = None  # host:port of the server that always runs, where there is one
    flags: tuple[str, ...] = ()  # by which other commands find this place
    local: AwsEndpoint | None = None
    stack: str | None = None  # its name, where there is one that may be looked at
    outputs: Mapping[str, str] = field(default_factory=dict)  # of the stack

    def log_group(self, function: str) -> str:
        """Returns the log group of one of the functions."""
        return f"/aws/lambda/{self.functions[function]}"

    @property
    def pause_s(self) -> float:
        """Seconds between two looks at a run that has just begun."""
        return AWS_PAUSE_S if self.local is None else LOCAL_PAUSE_S

    def execution_arn(self, given: str) -> str:
        """Returns the ARN of an execution that is named by its ID or its ARN."""
        return given if given.startswith("arn:") else f"{self.machine.replace(':stateMachine:', ':execution:')}:{given}"

    def command(self, *words: str) -> str:
        """Writes a command line of `cosmicai` that means this place."""
        return shlex.join(["cosmicai", *words, *self.flags])


def check(args: argparse.Namespace) -> None:
    """Checks the flags of `add_place_of_runs` without asking anybody.

    Raises:
        UsageError: one is wrong.
    """
    check_name(args.stack or STACK)
    if args.endpoint_url:
        check_url(args.endpoint_url)


def open_place(args: argparse.Namespace) -> Place:
    """Finds the place that the flags of `add_place_of_runs` mean.

    Raises:
        UsageError: a flag is wrong, or none says where.
        EndpointError: the endpoint does not answer.
        AccountError: there is no such stack, or it cannot be used; the message says what to do next.
        botocore's errors: AWS refuses or does not answer; see `scripts.stack.account.explained`.
    """
    check(args)
    local = args.endpoint_url and args.stack is None and args.profile is None
    if local and is_local(args.endpoint_url):
        return place_at(AwsEndpoint(args.endpoint_url))
    name = args.stack or STACK
    try:
        return _stack_place(Account.open(args.profile, args.region, args.endpoint_url or None), name, args)
    except AccountError as error:
        where = f" (asked at {args.endpoint_url}, which is no local endpoint of ours)" if args.endpoint_url else ""
        raise AccountError(f"{error}{where}") from error


def check_url(url: str) -> None:
    """Checks the flag `--endpoint-url`.

    Raises:
        UsageError: it is no URL.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises beyond 65535, as botocore does only when it connects
        if parts.scheme not in ("http", "https") or not parts.hostname or " " in url:
            raise ValueError
    except ValueError as error:
        raise UsageError(f"--endpoint-url is {url}; allowed: a URL such as http://127.0.0.1:4566") from error


def is_local(url: str) -> bool:
    """Asks an endpoint whether it is one of ours.

    Raises:
        EndpointError: nobody answers there.
    """
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{url}/_local/health", timeout=HEALTH_TIMEOUT_S) as answer:
            found = json.load(answer)
    except (urllib.request.HTTPError, ValueError, http.client.HTTPException):
        return False
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise EndpointError(f"{url} does not answer ({reason}): start the endpoint, or correct the address") from error
    return isinstance(found, dict) and "functions" in found


def place_at(endpoint: AwsEndpoint, bucket: str = LOCAL_BUCKET) -> Place:
    """Takes a local endpoint as the place, and makes its state machine and bucket if they are not there."""
    endpoint.client("s3").create_bucket(Bucket=bucket)
    machine = endpoint.state_machine(STATE_MACHINE)
    url = endpoint.endpoint_url
    return Place(url, endpoint.client, REGION, machine, bucket, flags=("--endpoint-url", url), local=endpoint)


def _stack_place(account: Account, name: str, args: argparse.Namespace) -> Place:
    flags = [
        word
        for flag, value in (
            ("--stack", args.stack),
            ("--region", args.region),
            ("--profile", args.profile),
            ("--endpoint-url", args.endpoint_url),
        )
        if value is not None
        for word in (flag, value)
    ]
    stack = Stack(account.client("cloudformation"), name)
    try:
        found = stack.describe()
    except ClientError as error:
        if code_of(error) not in DENIED:
            raise
        return _unseen_stack(account, name, flags, error)
    status = None if found is None else str(found["StackStatus"])
    if status is None or status == "REVIEW_IN_PROGRESS":
        raise AccountError(
            f"there is no stack {name} in {account.region}: name the region or the stack that you meant, or make it "
            "by cosmicai deploy"
        )
    if status in STILLBORN:
        raise AccountError(f"the stack {name} is {status}, and cannot be used: cosmicai deploy makes it anew")
    stack.check_idle()
    outputs = stack.outputs()
    try:
        functions = {function: outputs[f"{function.capitalize()}Function"] for function in FUNCTIONS}
        machine, bucket = outputs["StateMachineArn"], outputs["BucketName"]
    except KeyError as error:
        raise AccountError(
            f"the stack {name} has no output {error.args[0]}: cosmicai deploy brings it up to date"
        ) from error
    return Place(
        f"the stack {name} in {account.region}",
        account.client,
        account.region,
        machine,
        bucket,
        functions,
        outputs.get("RendezvousEndpoint"),
        tuple(flags),
        stack=name,
        outputs=outputs,
    )


def _unseen_stack(account: Account, name: str, flags: list[str], denied: ClientError) -> Place:
    """Finds the state machine by its name, for whoever may start runs and not look at stacks."""
    pages = account.client("stepfunctions").get_paginator("list_state_machines").paginate()
    for page in pages:
        for machine in page["stateMachines"]:
            if machine["name"] == name:
                functions = {function: f"{name}-{function}" for function in FUNCTIONS}
                arn = machine["stateMachineArn"]
                where = f"the stack {name} in {account.region}"
                return Place(where, account.client, account.region, arn, None, functions, None, tuple(flags))
    raise denied
