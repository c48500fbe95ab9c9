"""The policies of the stack's roles as CloudFormation fills them in."""

from collections.abc import Mapping
from typing import Any

from tests.aws.conftest import AwsAccount

ROLES = {
    "init": "InitRole",
    "rank": "RankRole",
    "summarize": "SummarizeRole",
    "machine": "StateMachineRole",
    "start": "RendezvousStartRole",
}
Policies = dict[str, dict[str, Any]]  # by function, "machine" for that of the state machine, "start" for that of ECS


def role_policies(account: AwsAccount) -> Policies:
    """The policies of the roles of the stack that is up."""
    return {name: document for name, (document, _) in _roles(account).items()}


def trust_policies(account: AwsAccount) -> Policies:
    """Who may take on the roles."""
    return {name: document for name, (_, document) in _roles(account).items()}


def _roles(account: AwsAccount) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    iam, found = account.client("iam"), {}
    resources = account.client("cloudformation").describe_stack_resources(StackName="cosmicai")["StackResources"]
    physical = {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in resources}
    for name, logical in ROLES.items():
        role = physical[logical]
        [policy] = iam.list_role_policies(RoleName=role)["PolicyNames"]
        document = iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
        found[name] = (document, iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"])
    return found


def statements(policy: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in policy["Statement"] if isinstance(one, dict)]


def actions(statement: Mapping[str, Any]) -> list[str]:
    given = statement["Action"]
    return [given] if isinstance(given, str) else given
