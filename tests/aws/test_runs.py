"""Runs on a stack that an emulator of AWS holds: what is found, and what is refused in one line with the next step.

The emulator runs no function, and so no run on it ends well; those that do are in tests/integration/test_invoke.py.
"""

import itertools
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from scripts.cli import main
from tests.aws.conftest import AwsAccount
from tests.integration.system import write_galaxies

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def deployed(account: AwsAccount) -> AwsAccount:
    assert account.deploy("--yes")[0] == 0
    return account


def bucket_of(account: AwsAccount) -> str:
    [bucket] = [found["Name"] for found in account.client("s3").list_buckets()["Buckets"]]
    return str(bucket)


def test_galaxies_are_uploaded_and_a_run_over_them_is_started(deployed: AwsAccount, tmp_path: Path):
    data, bucket = write_galaxies(tmp_path / "mine", 2, 4), bucket_of(deployed)
    status, said, _ = deployed.cosmicai("upload", str(data))
    assert status == 0
    assert f"2 files uploaded, 0 there already, all 2 checked: s3://{bucket}/datasets/mine/" in said
    assert "2 there already" in deployed.cosmicai("upload", str(data))[1]

    given = ["invoke", "--data-prefix", "datasets/mine", "--name", "mine-1", "--detach"]
    status, said, told = deployed.cosmicai(*given)
    assert (status, told) == (0, "")
    assert "no rendezvous server runs, so the ranks gather by way of S3" in said
    assert said.endswith("  cosmicai watch mine-1\n  cosmicai results mine-1\n") or "cosmicai watch mine-1" in said
    machine = deployed.client("stepfunctions").list_state_machines()["stateMachines"][0]["stateMachineArn"]
    [execution] = deployed.client("stepfunctions").list_executions(stateMachineArn=machine)["executions"]
    described = deployed.client("stepfunctions").describe_execution(executionArn=execution["executionArn"])
    assert json.loads(described["input"]) == {"bucket": bucket, "data_prefix": "datasets/mine"}
    # One rank meets nobody, and so no server is looked for.
    status, said, _ = deployed.cosmicai(*given[:3], "--world-size", "1", "--name", "mine-2", "--detach")
    assert (status, "rendezvous" in said) == (0, False)


def test_a_run_that_fails_has_the_status_of_a_failure(deployed: AwsAccount, tmp_path: Path):
    data = write_galaxies(tmp_path / "mine", 1, 2)
    status, _, told = deployed.cosmicai("invoke", "--data", str(data), "--out", str(tmp_path / "out"))
    assert status == 1
    assert "cosmicai: the run failed: " in told  # the emulator has no engine to run Init's image by
    assert "Objects" not in deployed.client("s3").list_objects_v2(Bucket=bucket_of(deployed))


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("watch nothing", "the stack cosmicai in us-east-1 has no run nothing: name another region, stack or endpoint"),
        ("invoke --data-prefix nothing", "ends in .pt, .pth, .safetensors: upload partitions there"),
        ("invoke --data-prefix p --bucket nowhere-at-all", "there is no bucket nowhere-at-all: create it, or name"),
        ("invoke --data-prefix p --set file_limit=no", "file_limit is 'no'; allowed: a whole number from 1"),
        ("invoke --data-prefix p --set fmi_enabled=true", "no rendezvous server is known: give rendezvous_endpoint"),
        ("watch x --stack other", "there is no stack other in us-east-1: name the region or the stack that you meant"),
        ("invoke --data-prefix p --region eu-west-1", "there is no stack cosmicai in eu-west-1: name the region or"),
    ],
)
def test_what_is_not_there_is_told_with_the_next_step(deployed: AwsAccount, command: str, told: str):
    status, said, error = deployed.cosmicai(*command.split())
    assert status != 0
    assert told in error
    assert error.count("\n") == 1
    assert "running" not in said


def test_a_stack_whose_parts_were_removed_is_told_with_the_next_step(deployed: AwsAccount, tmp_path: Path):
    data = write_galaxies(tmp_path / "mine", 1, 2)
    deployed.cosmicai("upload", str(data))
    given = ["invoke", "--data-prefix", "datasets/mine", "--detach"]
    machine = deployed.client("stepfunctions").list_state_machines()["stateMachines"][0]["stateMachineArn"]
    deployed.client("stepfunctions").delete_state_machine(stateMachineArn=machine)
    status, _, told = deployed.cosmicai(*given)
    assert (status, told.count("\n")) == (1, 1)
    assert f"the stack cosmicai in us-east-1 has no state machine {machine}: run cosmicai deploy" in told
    deployed.client("lambda").delete_function(FunctionName="cosmicai-rank")
    status, _, told = deployed.cosmicai(*given)
    assert (status, told.count("\n")) == (1, 1)
    assert "has no function cosmicai-rank: cosmicai deploy --status shows what was removed" in told


def test_no_credentials_are_told_with_the_next_step(account: AwsAccount, monkeypatch: pytest.MonkeyPatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    status, _, told = account.cosmicai("watch", "mine")
    assert (status, told.count("\n")) == (1, 1)
    assert "set AWS_PROFILE, or run aws configure" in told


IDENTITY = (
    "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::300000000000:user/ada</Arn><UserId>a</UserId>"
    "<Account>300000000000</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"
)
STACK = (
    "<DescribeStacksResponse><DescribeStacksResult><Stacks><member><StackName>cosmicai</StackName><StackStatus>{status}"
    "</StackStatus><Outputs>{outputs}</Outputs></member></Stacks></DescribeStacksResult></DescribeStacksResponse>"
)
OUTPUT = "<member><OutputKey>{0}</OutputKey><OutputValue>{1}</OutputValue></member>"
MACHINE = "arn:aws:states:us-east-1:300000000000:stateMachine:cosmicai"
OUTPUTS = {"StateMachineArn": MACHINE, "BucketName": "b"} | {
    f"{name}Function": f"cosmicai-{name.lower()}" for name in ("Init", "Rank", "Summarize")
}
REFUSAL = "<Error><Code>{0}</Code><Message>User ada: no</Message></Error>"
LAMBDA = re.compile(r"/20\d\d-")  # its paths begin with the version of the API


@contextmanager
def service(status: str, *refusals: str) -> Iterator[str]:
    """A service that knows who asks and the stack, and refuses all else by these codes, one after another."""
    codes = itertools.chain(refusals, itertools.repeat(refusals[-1] if refusals else "AccessDenied"))
    outputs = "".join(OUTPUT.format(*output) for output in OUTPUTS.items())

    class Service(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            known = {b"GetCallerIdentity": IDENTITY, b"DescribeStacks": STACK.format(status=status, outputs=outputs)}
            answer = next((text for action, text in known.items() if b"Action=" + action in body), None)
            refused = answer is None
            if answer is None:
                in_json = self.headers.get("X-Amz-Target") or LAMBDA.match(self.path)
                code = next(codes)
                answer = json.dumps({"__type": code, "message": "User ada: no"}) if in_json else REFUSAL.format(code)
                self.send_response(403 if code.startswith("AccessDenied") else 400)
                self.send_header("X-Amzn-ErrorType", code)
            else:
                self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            if not (refused and self.command == "HEAD"):
                self.wfile.write(answer.encode())

        do_POST = do_PUT = do_HEAD = do_GET  # noqa: N815 - the server's names

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Service) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("command", ["watch mine", "results mine", "upload {data}", "invoke --data {data}"])
@pytest.mark.parametrize(
    ("status", "refusal", "told"),
    [
        ("CREATE_COMPLETE", "AccessDeniedException", "Ask whoever looks after the account for this permission"),
        ("CREATE_COMPLETE", "ExpiredTokenException", "the credentials have expired: log in again"),
        ("CREATE_COMPLETE", "UnrecognizedClientException", "does not know these credentials"),
        ("CREATE_IN_PROGRESS", "", "the stack cosmicai is CREATE_IN_PROGRESS: wait until that has ended"),
        ("ROLLBACK_COMPLETE", "", "the stack cosmicai is ROLLBACK_COMPLETE, and cannot be used: cosmicai deploy"),
        ("DELETE_FAILED", "", "the stack cosmicai is DELETE_FAILED, and cannot be used: cosmicai deploy makes it anew"),
    ],
)
def test_every_command_tells_a_refusal_in_one_line(
    command: str, status: str, refusal: str, told: str, monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path
):
    if command.startswith(("upload", "invoke")) and refusal == "AccessDeniedException":
        told = "denie" if command.startswith("invoke") else "the bucket b is closed to you: does it belong to others?"
    data = write_galaxies(tmp_path / "galaxies", 1, 2)
    monkeypatch.chdir(tmp_path)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "given")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with service(status, *([refusal] if refusal else [])) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        assert main([*command.format(data=data).split(), "--region", "eu-west-1"]) == 1
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
