"""The policies against the calls that AWS makes with them, by a simulator of IAM and a linter."""

import copy
import json
from typing import Any

import pytest

from tests.aws.conftest import AwsAccount
from tests.aws.policies import role_policies, statements, trust_policies
from tests.aws.tools import REGION, ROOT, TOOLS, answer, tool

EVERYTHING = ("KmsKeyArn=arn:aws:kms:us-east-1:123456789012:key/1", "DataBucket=survey-*")
# Statements that the definition's own calls do not need: Step Functions makes these for itself, or a user does.
OF_THE_SERVICE = {"Logs", "Traces", "Redrive", "Ranks"}


def simulated(asked: list[dict[str, Any]]) -> list[bool]:
    """Whether each request is allowed."""
    tool("node", "asl-validator")  # skips where Node.js's tools are not installed
    said = answer(["node", ROOT / "tests" / "aws" / "simulate.mjs", TOOLS / "node"], stdin=json.dumps(asked))
    assert said.returncode == 0, said.stderr
    return [result == "Allowed" for result in json.loads(said.stdout)]


def calls_of(definition: dict[str, Any], account: str, bucket: str) -> list[tuple[str, str]]:
    """The actions and resources that executing a definition asks for, by the developer guide's integrations."""
    machine = f"arn:aws:states:{REGION}:{account}:stateMachine:cosmicai"
    found = []
    for state in definition["States"].values():
        if state.get("Resource") == "arn:aws:states:::lambda:invoke":
            found.append(("lambda:InvokeFunction", state["Parameters"]["FunctionName"]))
        if "ItemReader" in state:
            assert state["ItemReader"]["Resource"] == "arn:aws:states:::s3:getObject"
            found.append(("s3:GetObject", f"arn:aws:s3:::{bucket}/results/run-1/manifest.json"))
        if "ItemProcessor" in state:
            assert state["ItemProcessor"]["ProcessorConfig"]["Mode"] == "DISTRIBUTED"
            found.append(("states:StartExecution", machine))
            found += calls_of(state["ItemProcessor"], account, bucket)
    return found


def asked(policy: dict[str, Any], account: str, action: str, resource: str) -> dict[str, Any]:
    principal = f"arn:aws:sts::{account}:assumed-role/role/session"
    return {"policy": policy, "principal": principal, "action": action, "resource": resource}


def test_the_state_machine_may_do_what_its_definition_asks_for_and_nothing_beside(account: AwsAccount):
    account.deploy("--yes")
    policy, number = role_policies(account)["machine"], account.number
    [bucket] = [bucket["Name"] for bucket in account.client("s3").list_buckets()["Buckets"]]
    states = account.client("stepfunctions")
    arn = states.list_state_machines()["stateMachines"][0]["stateMachineArn"]
    calls = calls_of(json.loads(states.describe_state_machine(stateMachineArn=arn)["definition"]), number, bucket)
    assert len(calls) == 5
    assert all(simulated([asked(policy, number, *call) for call in calls]))
    beside = [
        ("lambda:InvokeFunction", f"arn:aws:lambda:{REGION}:{number}:function:of-somebody-else"),
        ("s3:GetObject", f"arn:aws:s3:::{bucket}/data/1.safetensors"),
        ("s3:GetObject", "arn:aws:s3:::other/results/manifest.json"),
        ("s3:PutObject", f"arn:aws:s3:::{bucket}/results/run-1/manifest.json"),
        ("states:StartExecution", f"arn:aws:states:{REGION}:{number}:stateMachine:of-somebody-else"),
    ]
    assert not any(simulated([asked(policy, number, *call) for call in beside]))

    for sid in {one["Sid"] for one in statements(policy)} - OF_THE_SERVICE:
        fewer = copy.deepcopy(policy)
        fewer["Statement"] = [one for one in statements(policy) if one["Sid"] != sid]
        assert not all(simulated([asked(fewer, number, *call) for call in calls])), f"{sid} could be spared"


def test_functions_reach_their_own_log_and_the_buckets_that_were_named(account: AwsAccount):
    account.deploy("--yes", *(word for value in EVERYTHING for word in ("--parameter", value)))
    policies, number = role_policies(account), account.number
    log = f"arn:aws:logs:{REGION}:{number}:log-group:/aws/lambda/cosmicai"
    survey = "arn:aws:s3:::survey-2026/1.pt"
    allowed = [
        ("rank", "logs:PutLogEvents", f"{log}-rank:log-stream:x"),
        ("rank", "s3:GetObject", survey),
        ("init", "s3:ListBucket", "arn:aws:s3:::survey-2026"),
    ]
    denied = [
        ("rank", "logs:PutLogEvents", f"{log}-init:log-stream:x"),
        ("rank", "s3:PutObject", survey),
        ("summarize", "s3:GetObject", survey),
        ("rank", "s3:DeleteObject", survey),
    ]
    assert all(simulated([asked(policies[role], number, *call) for role, *call in allowed]))
    assert not any(simulated([asked(policies[role], number, *call) for role, *call in denied]))


@pytest.mark.parametrize(
    ("role", "service", "source"),
    [
        ("machine", "states.amazonaws.com", "arn:aws:states:us-east-1:{account}:stateMachine:cosmicai"),
        ("start", "ecs-tasks.amazonaws.com", "arn:aws:ecs:us-east-1:{account}:*"),
    ],
)
def test_services_take_roles_on_for_this_account_only(account: AwsAccount, role: str, service: str, source: str):
    account.deploy("--yes")
    trust = trust_policies(account)[role]

    def take(owner: str) -> dict[str, Any]:
        context = {"aws:SourceAccount": owner, "aws:SourceArn": source.format(account=owner)}
        resource = f"arn:aws:iam::{account.number}:role/{role}"
        return {
            "resourcePolicy": trust,
            "principal": service,
            "action": "sts:AssumeRole",
            "resource": resource,
            "context": context,
        }

    assert simulated([take(account.number), take("999999999999")]) == [True, False]


def test_the_bucket_answers_nobody_without_encryption(account: AwsAccount):
    account.deploy("--yes")
    s3 = account.client("s3")
    [bucket] = [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    policy = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])
    request = asked(role_policies(account)["rank"], account.number, "s3:GetObject", f"arn:aws:s3:::{bucket}/data/1.pt")
    over = [
        {**request, "resourcePolicy": policy, "context": {"aws:SecureTransport": secure}}
        for secure in ("true", "false")
    ]
    assert simulated(over) == [True, False]


# The linter wants a resource for each kind that an action takes. Express executions are a kind that this stack has not.
EXCEPTIONS = {("machine", "RESOURCE_MISMATCH", "states:DescribeExecution", "arn:*:states:*:*:express:*:*:*")}


def linted(policy: dict[str, Any]) -> list[tuple[str, str, str]]:
    """What the linter has against a policy: the kind of issue, the action and what the linter wants."""
    said = answer([tool("parliament", "parliament"), "--json"], stdin=json.dumps(policy))
    found = [json.loads(line) for line in said.stdout.splitlines()]
    details = [(one["issue"], one["detail"] if isinstance(one["detail"], list) else [one["detail"]]) for one in found]
    return [
        (issue, detail["action"], detail["required_format"]) if isinstance(detail, dict) else (issue, str(detail), "")
        for issue, several in details
        for detail in several
    ]


def test_the_linter_of_policies_has_nothing_against_them(account: AwsAccount):
    account.deploy("--yes", *(word for value in EVERYTHING for word in ("--parameter", value)))
    found = {(name, *issue) for name, policy in role_policies(account).items() for issue in linted(policy)}
    assert found == EXCEPTIONS
    wrong = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObjects", "Resource": "*"}]}
    assert "UNKNOWN_ACTION" in {issue for issue, *_ in linted(wrong)}
