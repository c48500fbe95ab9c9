"""What the roles may do is what a run needs: real runs under the roles' own credentials, on an S3 that checks them."""

import copy
import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from statemachine.definition import definition
from statemachine.local.settings import FUNCTIONS, for_this_machine, function_arn
from tests.aws.conftest import AwsAccount
from tests.aws.policies import Policies, actions, role_policies, statements
from tests.aws.tools import REGION, ROOT
from tests.integration.rendezvous import servers
from tests.integration.system import write_galaxies

RANKS = 2
MACHINE = "cosmicai"
READY_S = 60.0


def bucket_of(policies: Policies) -> str:
    [arn] = [one["Resource"] for one in statements(policies["init"]) if one["Sid"] == "MissingObjects"]
    return str(arn).rpartition(":")[2]


def without(policies: Policies, role: str, action: str) -> Policies:
    """The policies of all roles but for one action of one of them."""
    fewer = copy.deepcopy(policies)
    for one in statements(fewer[role]):
        one["Action"] = [other for other in actions(one) if other != action] or ["s3:None"]
    return fewer


class EnforcingCloud:
    """Runs on a local endpoint that checks credentials, with workers that have those of their roles."""

    def __init__(self, url: str, bucket: str, credentials: Path) -> None:
        self.url, self.bucket, self.credentials = url, bucket, credentials
        self.runs = 0
        self.admin = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}

    def client(self, service: str) -> Any:
        make_client: Any = boto3.client
        return make_client(service, endpoint_url=self.url, region_name=REGION, **self.admin)

    def make_roles(self, policies: Policies) -> dict[str, dict[str, str]]:
        """Makes the roles and an administrator. Returns the credentials of the roles."""
        iam, sts, made = self.client("iam"), self.client("sts"), {}
        everybody = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sts:*"}]}
        for name in policies:
            role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(everybody))["Role"]["Arn"]
            given = sts.assume_role(RoleArn=role, RoleSessionName=name)["Credentials"]
            made[name] = {
                "aws_access_key_id": given["AccessKeyId"],
                "aws_secret_access_key": given["SecretAccessKey"],
                "aws_session_token": given["SessionToken"],
            }
        anything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
        iam.create_user(UserName="admin")
        iam.put_user_policy(UserName="admin", PolicyName="all", PolicyDocument=json.dumps(anything))
        key = iam.create_access_key(UserName="admin")["AccessKey"]
        self.put_policies(policies)
        self.credentials.write_text(json.dumps(made["machine"]))
        self.admin = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
        return made

    def enforce(self) -> None:
        """From now on nobody is let in who has no policy."""
        request = urllib.request.Request(
            f"{self.url}/moto-api/reset-auth", data=b"0", headers={"Content-Type": "text/plain"}
        )
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10).close()

    def put_policies(self, policies: Policies) -> None:
        iam = self.client("iam")
        for name, policy in policies.items():
            iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=json.dumps(policy))

    def run(self, **given: Any) -> tuple[str, dict[str, Any]]:
        """The end of an execution and its output or failure."""
        self.runs += 1
        states = self.client("stepfunctions")
        machines = states.list_state_machines()["stateMachines"]
        [machine] = [one for one in machines if one["name"] == MACHINE]  # the endpoint has one of its own, too
        execution_input = json.dumps(
            {"bucket": self.bucket, "world_size": RANKS, "batch_size": 8, "gather_timeout_s": 3, **given}
        )
        arn = states.start_execution(
            stateMachineArn=machine["stateMachineArn"], name=f"run-{self.runs}", input=execution_input
        )["executionArn"]
        while (described := states.describe_execution(executionArn=arn))["status"] == "RUNNING":
            time.sleep(0.1)
        if described["status"] == "SUCCEEDED":
            return "SUCCEEDED", json.loads(described["output"])
        return described["status"], {"error": described.get("error"), "cause": described.get("cause")}


@contextmanager
def enforcing_cloud(policies: Policies, rendezvous: str, folder: Path) -> Iterator[EnforcingCloud]:
    environ = {**for_this_machine(os.environ), "INFERENCE_ENGINE": "eager", "OMP_NUM_THREADS": "1"}
    with ExitStack() as stack:
        program = ["tests/aws/enforcing_endpoint.py", str(folder / "machine"), "--port", "0", "--workers", "0"]
        endpoint = _started(stack, program, environ)
        listening = json.loads(endpoint.stdout.readline())  # type: ignore[union-attr]
        _drained(endpoint)
        cloud = EnforcingCloud(f"http://127.0.0.1:{listening['port']}", bucket_of(policies), folder / "machine")
        s3, galaxies = cloud.client("s3"), folder / "galaxies"
        galaxies.mkdir()
        s3.create_bucket(Bucket=cloud.bucket)
        for file in write_galaxies(galaxies, 4, 6).iterdir():
            s3.upload_file(str(file), cloud.bucket, f"galaxies/{file.name}")
        arns = {f"{name.capitalize()}FunctionArn": function_arn(name, REGION) for name in FUNCTIONS}
        cloud.client("stepfunctions").create_state_machine(
            name=MACHINE, definition=definition(arns), roleArn="arn:aws:iam::123456789012:role/machine"
        )
        for name, credentials in cloud.make_roles(policies).items():
            for _ in range({"machine": 0, "rank": RANKS}.get(name, 1)):
                own = {variable.upper(): value for variable, value in credentials.items()}
                worker = {
                    "AWS_LAMBDA_RUNTIME_API": listening["runtime_apis"][name],
                    "AWS_LAMBDA_FUNCTION_NAME": name,
                    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024",
                    "AWS_REGION": REGION,
                    "AWS_ENDPOINT_URL": cloud.url,
                    "RENDEZVOUS_ENDPOINT": rendezvous,
                }
                handler = ["-m", "awslambdaric", FUNCTIONS[name].handler]
                _drained(_started(stack, handler, {**environ, **own, **worker}))
        _wait_until_ready(cloud.url)
        yield cloud


def _started(stack: ExitStack, arguments: list[str], environ: Mapping[str, str]) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**environ, "PYTHONPATH": str(ROOT)},
        text=True,
        cwd=ROOT,
    )
    stack.callback(process.wait, 10)
    stack.callback(process.kill)
    return process


def _drained(process: "subprocess.Popen[str]") -> None:
    threading.Thread(target=lambda: list(process.stdout or ()), daemon=True).start()


def _wait_until_ready(url: str) -> None:
    opener, deadline = urllib.request.build_opener(urllib.request.ProxyHandler({})), time.monotonic() + READY_S
    while time.monotonic() < deadline:
        with opener.open(f"{url}/_local/health", timeout=5) as answer:
            functions = json.load(answer)["functions"]
        if functions["rank"]["idle"] == RANKS and functions["init"]["idle"] and functions["summarize"]["idle"]:
            return
        time.sleep(0.1)
    raise AssertionError(functions)


RUNS: dict[str, dict[str, Any]] = {
    "gathers": {"data_prefix": "galaxies"},
    "reads one dataset, and rebuilds without a gather": {"data_path": "galaxies/1.safetensors", "fmi_enabled": False},
}
SAME = ("samples", "mae", "bias", "rows", "partitions_completed", "ranks_completed", "failed_ranks", "transports")
REMOVED = [
    (role, action)
    for role in ("init", "rank", "summarize")
    for action in ("s3:ListBucket", "s3:GetObject", "s3:PutObject")
    if (role, action) != ("rank", "s3:ListBucket")
] + [("machine", "s3:GetObject")]
# What no sound run on a path of its own needs: a rank lists what earlier attempts have finished and who is absent,
# results of an earlier run on the same path are removed, and so are the parts of a table that could not be finished.
OF_FAULTS = {
    *{("rank", "s3:ListBucket"), ("init", "s3:DeleteObject"), ("rank", "s3:DeleteObject")},
    *{("rank", "s3:AbortMultipartUpload"), ("summarize", "s3:AbortMultipartUpload")},
}


def test_runs_end_well_under_the_roles_and_no_action_of_theirs_can_be_spared(account: AwsAccount, tmp_path: Path):
    account.deploy("--yes")
    policies = role_policies(account)
    del policies["start"]  # of ECS, which does not take part
    given = {
        (role, action) for role, policy in policies.items() for one in statements(policy) for action in actions(one)
    }
    assert {(role, action) for role, action in given if action.startswith("s3:")} == {*REMOVED, *OF_FAULTS}
    with servers(tmp_path) as start, enforcing_cloud(policies, f"127.0.0.1:{start().port}", tmp_path) as cloud:
        free = [cloud.run(**given) for given in RUNS.values()]
        cloud.enforce()
        with pytest.raises(ClientError, match="InvalidAccessKeyId"):
            EnforcingCloud(cloud.url, cloud.bucket, tmp_path).client("s3").list_buckets()
        for (status, expected), given in zip(free, RUNS.values(), strict=True):
            assert status == "SUCCEEDED", expected
            status, summary = cloud.run(**given)
            assert status == "SUCCEEDED", summary
            assert {key: summary[key] for key in SAME} == {key: expected[key] for key in SAME}
            assert summary["warnings"] == []
        spared = []
        for role, action in REMOVED:
            cloud.put_policies(without(policies, role, action))
            ends = [cloud.run(**given) for given in RUNS.values()]
            if all(status == "SUCCEEDED" and not result["warnings"] for status, result in ends):
                spared.append((role, action))
        cloud.put_policies(policies)
        assert spared == []
        assert cloud.run(**RUNS["gathers"])[0] == "SUCCEEDED"
