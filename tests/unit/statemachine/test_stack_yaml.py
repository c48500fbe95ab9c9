"""The templates against what they must agree with: the definition, the images, the local endpoint."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from lambda_image.cost import RENDEZVOUS_GB, RENDEZVOUS_VCPU
from lambda_image.settings import HandlerSettings
from rendezvous_server.limits import Limits
from scripts.stack.bucket import TAG
from scripts.stack.costs import ALARMS
from scripts.stack.template import MAX_BODY_BYTES, body, images_template, parsed, stack_template
from statemachine.definition import DEFINITION, PLACEHOLDER
from statemachine.local.settings import FUNCTIONS
from tests.unit.test_layout import ROOT

STACK = parsed(stack_template())
RESOURCES: dict[str, Any] = STACK["Resources"]
MACHINE = RESOURCES["StateMachine"]["Properties"]
NAME = {"Ref": "AWS::StackName"}


def properties(kind: str) -> dict[str, dict[str, Any]]:
    """The properties of all resources of a type, by name."""
    return {name: one.get("Properties", {}) for name, one in RESOURCES.items() if one["Type"] == kind}


def every(value: object, key: str) -> Iterator[Any]:
    """What stands under a key, wherever in a template."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == key:
                yield inner
            yield from every(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from every(inner, key)


def test_the_state_machine_has_the_definition_and_its_substitutions_fill_all_of_it() -> None:
    text = DEFINITION.read_text()
    assert MACHINE["Definition"] == json.loads(text)
    assert MACHINE["DefinitionSubstitutions"].keys() == set(PLACEHOLDER.findall(text))
    assert set(PLACEHOLDER.findall(json.dumps(MACHINE["Definition"]))) == MACHINE["DefinitionSubstitutions"].keys()


def test_the_functions_are_those_of_the_local_endpoint_and_fit_the_definitions_timeouts() -> None:
    states = MACHINE["Definition"]["States"]
    tasks = {**states, **states["Ranks"]["ItemProcessor"]["States"]}
    assert len(properties("AWS::Lambda::Function")) == len(FUNCTIONS)
    for name, settings in FUNCTIONS.items():
        function = properties("AWS::Lambda::Function")[f"{name.capitalize()}Function"]
        assert function["ImageConfig"]["Command"] == [settings.handler]
        assert function["Timeout"] == settings.timeout_s
        assert function["Timeout"] < tasks[name.capitalize()]["TimeoutSeconds"]


def test_the_memory_of_a_rank_is_what_new_accounts_get() -> None:
    assert STACK["Parameters"]["RankMemory"]["Default"] == HandlerSettings.from_environ({}).memory_mb == 3008


def test_the_key_of_a_run_reaches_no_log_of_the_state_machine() -> None:
    assert MACHINE["LoggingConfiguration"]["IncludeExecutionData"] is False


def test_the_server_and_the_ranks_always_have_a_key_and_nobody_else_has_it() -> None:
    (server,) = RESOURCES["RendezvousTask"]["Properties"]["ContainerDefinitions"]
    assert server["Secrets"] == [{"Name": "RENDEZVOUS_KEY", "ValueFrom": {"Fn::GetAtt": ["RendezvousKey", "Id"]}}]
    with_key = {
        name: function["Environment"]["Variables"]["RENDEZVOUS_KEY"]
        for name, function in properties("AWS::Lambda::Function").items()
        if "RENDEZVOUS_KEY" in function.get("Environment", {}).get("Variables", {})
    }
    assert with_key == {"RankFunction": {"Fn::Sub": "{{resolve:secretsmanager:${RendezvousKey}}}"}}
    assert "Condition" not in RESOURCES["RendezvousKey"]


def test_the_task_is_the_one_that_the_cost_of_a_run_counts_and_its_health_check_is_the_images() -> None:
    task = RESOURCES["RendezvousTask"]["Properties"]
    assert (int(task["Cpu"]) / 1024, int(task["Memory"]) / 1024) == (RENDEZVOUS_VCPU, RENDEZVOUS_GB)
    [container] = task["ContainerDefinitions"]
    dockerfile = (ROOT / "rendezvous_server" / "Dockerfile").read_text().replace("\\\n", "")
    command = re.search(r"^HEALTHCHECK .*?CMD (\[.*\])$", dockerfile, re.MULTILINE)
    assert command
    assert container["HealthCheck"]["Command"] == ["CMD", *json.loads(command[1])]
    assert container["ReadonlyRootFilesystem"] is True
    assert f"USER {container['User']}" in dockerfile
    assert "TaskRoleArn" not in task  # the server asks AWS nothing
    assert container["StopTimeout"] > Limits().shutdown_grace_s


def test_a_relay_may_be_silent_for_longer_than_the_load_balancer_waits() -> None:
    for listener in properties("AWS::ElasticLoadBalancingV2::Listener").values():
        [idle] = [one["Value"] for one in listener["ListenerAttributes"] if one["Key"] == "tcp.idle_timeout.seconds"]
        assert int(idle) > Limits().relay_idle_timeout_s


def test_every_name_begins_with_the_stacks() -> None:
    named = re.compile(r"Name$|^Family$")
    other = {"RendezvousRecord"}  # which the user names
    for resource, content in RESOURCES.items():
        for key, value in content.get("Properties", {}).items():
            if named.search(key) and resource not in other and key != "MetricName":
                name = value.get("Fn::Sub") if isinstance(value, dict) else value
                assert value == NAME or re.match(r"^(/[a-z/]+/)?\$\{AWS::StackName\}", str(name)), (resource, key)


def test_every_parameter_is_described_and_those_for_nothing_are_nothing() -> None:
    for name, parameter in STACK["Parameters"].items():
        assert len(parameter["Description"]) > 20, name
        assert not parameter["Description"].endswith(" "), name
    used = set(every(STACK, "Ref")) | {
        found for text in every(STACK, "Fn::Sub") for found in re.findall(r"\$\{(\w+)", json.dumps(text))
    }
    assert STACK["Parameters"].keys() <= used


def test_each_function_has_a_role_and_a_log_group_of_its_own() -> None:
    functions = properties("AWS::Lambda::Function").values()
    assert len({json.dumps(one["Role"]) for one in functions}) == len(FUNCTIONS)
    assert len({json.dumps(one["LoggingConfig"]["LogGroup"]) for one in functions}) == len(FUNCTIONS)
    for role in properties("AWS::IAM::Role").values():
        assert role["PermissionsBoundary"]["Fn::If"][0] == "WithBoundary"
        assert role["Path"] == {"Ref": "RolePath"}


def test_actions_on_everything_are_those_that_cannot_be_confined() -> None:
    """By AWS's service authorization reference, none of these takes a resource."""
    unconfined = {"xray:", "ecr:GetAuthorizationToken", "ec2:", "logs:"}
    for role, content in properties("AWS::IAM::Role").items():
        for statement in (one for policy in content["Policies"] for one in statements(policy)):
            if statement["Resource"] == "*":
                for action in [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]:
                    assert action.startswith(tuple(unconfined)), (role, action)


def statements(policy: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for one in policy["PolicyDocument"]["Statement"]:
        yield one["Fn::If"][1] if "Fn::If" in one else one


def test_the_bucket_outlives_the_stack_and_is_found_by_its_tag() -> None:
    bucket = RESOURCES["Bucket"]
    assert (bucket["DeletionPolicy"], bucket["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")
    assert bucket["Properties"]["Tags"] == [{"Key": TAG, "Value": NAME}]


def test_the_alarms_are_as_many_as_the_cost_counts() -> None:
    assert len(properties("AWS::CloudWatch::Alarm")) == ALARMS


def test_cloudformation_takes_the_templates_without_a_bucket_for_them() -> None:
    for text in (stack_template(), images_template()):
        assert len(body(text).encode()) < MAX_BODY_BYTES
        assert json.loads(body(text)) == parsed(text)


def test_a_template_that_is_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="CloudFormation takes 51,200"):
        body("Description: " + "x" * MAX_BODY_BYTES)


def test_init_plans_by_the_concurrency_that_the_stack_reserves() -> None:
    variables = RESOURCES["InitFunction"]["Properties"]["Environment"]["Variables"]
    reserved = RESOURCES["RankFunction"]["Properties"]["ReservedConcurrentExecutions"]
    assert variables["MAX_CONCURRENCY"]["Fn::If"][:2] == reserved["Fn::If"][:2]
    without = variables["MAX_CONCURRENCY"]["Fn::If"][2]
    assert HandlerSettings.from_environ({"MAX_CONCURRENCY": without}).max_concurrency is None
