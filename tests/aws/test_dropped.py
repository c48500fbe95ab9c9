"""What the emulator takes and does not keep, judged by botocore's models of the services' own requests."""

from collections.abc import Callable, Mapping
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from scripts.stack.change_set import CAPABILITIES
from scripts.stack.template import parsed, stack_template
from tests.aws.conftest import AwsAccount

RESOURCES: Mapping[str, Any] = parsed(stack_template())["Resources"]
ARN = "arn:aws:service:us-east-1:123456789012:resource"


def of(resource: str, *path: str) -> Any:
    """A property as the template has it, with text in the place of every function of CloudFormation."""
    value = RESOURCES[resource]["Properties"]
    for name in path:
        value = value[int(name)] if isinstance(value, list) else value[name]
    return filled(value)


def filled(value: Any) -> Any:
    if isinstance(value, list):
        return [item for item in map(filled, value) if item is not None]
    if not isinstance(value, dict):
        return value
    [name, *others] = value or [""]
    if not others and name == "Fn::If":
        return filled(value[name][1])
    if not others and (name == "Ref" or name.startswith("Fn::")):
        return None if value[name] == "AWS::NoValue" else ARN
    return {key: filled(item) for key, item in value.items()}


def lower(value: Any) -> Any:
    """With the first letter of every key small, as Step Functions and ECS write them."""
    if isinstance(value, list):
        return [lower(item) for item in value]
    return {key[0].lower() + key[1:]: lower(item) for key, item in value.items()} if isinstance(value, dict) else value


def container_as_ecs_writes_it() -> dict[str, Any]:
    [container] = of("RendezvousTask", "ContainerDefinitions")
    options = container["LogConfiguration"]["Options"]  # whose names are not ours to change
    return {**lower(container), "logConfiguration": {"logDriver": "awslogs", "options": options}}


# Each is dropped by the emulator: the resource, the operation that CloudFormation calls, and its parameters.
DROPPED: dict[str, tuple[str, str, Callable[[], dict[str, Any]]]] = {
    "logging and tracing of the state machine": (
        "stepfunctions", "CreateStateMachine",
        lambda: {
            "name": "cosmicai", "definition": "{}", "roleArn": ARN,
            "loggingConfiguration": lower(of("StateMachine", "LoggingConfiguration")),
            "tracingConfiguration": lower(of("StateMachine", "TracingConfiguration")),
        },
    ),
    "secrets and health check of the task": (
        "ecs", "RegisterTaskDefinition",
        lambda: {"family": "cosmicai", "containerDefinitions": [container_as_ecs_writes_it()]},
    ),
    "IPv6 of the VPC": ("ec2", "AssociateVpcCidrBlock", lambda: of("VpcIpv6")),
    "tags of the bucket": (
        "s3", "PutBucketTagging", lambda: {"Bucket": "b", "Tagging": {"TagSet": of("Bucket", "Tags")}},
    ),
    "idle timeout of the load balancer": (
        "elbv2", "ModifyListenerAttributes",
        lambda: {"ListenerArn": ARN, "Attributes": of("RendezvousListener", "ListenerAttributes")},
    ),
    "the budget": (
        "budgets", "CreateBudget",
        lambda: {
            "AccountId": "123456789012",
            "Budget": {**of("Budget", "Budget"), "BudgetLimit": {"Amount": "10", "Unit": "USD"}},
            "NotificationsWithSubscribers": of("Budget", "NotificationsWithSubscribers"),
        },
    ),
}  # fmt: skip


def problems(service: str, operation: str, parameters: dict[str, Any]) -> str:
    model = botocore.session.get_session().get_service_model(service).operation_model(operation)
    return str(ParamValidator().validate(parameters, model.input_shape).generate_report())


@pytest.mark.parametrize("what", DROPPED)
def test_what_the_emulator_drops_is_what_the_service_takes(what: str):
    service, operation, parameters = DROPPED[what]
    assert problems(service, operation, parameters()) == ""


def test_what_a_service_does_not_take_is_found():
    parameters = DROPPED["secrets and health check of the task"][2]()
    parameters["containerDefinitions"][0]["secrets"][0]["valueFrom"] = 1
    parameters["containerDefinitions"][0]["healthChecks"] = parameters["containerDefinitions"][0].pop("healthCheck")
    assert "valueFrom" in problems("ecs", "RegisterTaskDefinition", parameters)
    assert 'Unknown parameter in containerDefinitions[0]: "healthChecks"' in problems(
        "ecs", "RegisterTaskDefinition", parameters
    )


def test_it_is_the_emulator_that_drops_them(account: AwsAccount):
    """Whatever it keeps needs no row in the table."""
    account.deploy("--yes")
    states, s3 = account.client("stepfunctions"), account.client("s3")
    arn = states.list_state_machines()["stateMachines"][0]["stateMachineArn"]
    assert states.describe_state_machine(stateMachineArn=arn).get("tracingConfiguration", {}).get("enabled") is not True
    [bucket] = s3.list_buckets()["Buckets"]
    with pytest.raises(s3.exceptions.ClientError, match="NoSuchTagSet"):
        s3.get_bucket_tagging(Bucket=bucket["Name"])


def test_a_deployment_asks_for_the_capability_that_roles_need():
    """The emulator makes roles without it, and AWS refuses to."""
    roles = [one["Properties"] for one in RESOURCES.values() if one["Type"] == "AWS::IAM::Role"]
    named = [role for role in roles if "RoleName" in role]
    assert named == []
    assert CAPABILITIES == ["CAPABILITY_IAM"]
