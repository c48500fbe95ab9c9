from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber

from scripts.stack.account import AccountError
from scripts.stack.change_set import Stack

ARN = "arn:aws:cloudformation:us-east-1:123456789012:changeSet/cosmicai-1/1"
STACK_ID = "arn:aws:cloudformation:us-east-1:123456789012:stack/cosmicai/1"
NO_STACK = "Stack with id cosmicai does not exist"


@pytest.fixture
def client() -> Iterator[Any]:
    made: Any = boto3.client(
        "cloudformation", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    with Stubber(made) as stubber:
        made.stubber = stubber
        yield made
        stubber.assert_no_pending_responses()


def stack(client: Any) -> Stack:
    return Stack(client, "cosmicai", sleep=lambda _: None)


def is_in(client: Any, status: str | None, **more: Any) -> None:
    """What the next look at the stack finds."""
    if status is None:
        client.stubber.add_client_error("describe_stacks", "ValidationError", NO_STACK)
        return
    described = {"StackName": "cosmicai", "StackId": STACK_ID, "CreationTime": 0, "StackStatus": status, **more}
    client.stubber.add_response("describe_stacks", {"Stacks": [described]})


def test_a_stack_that_only_change_sets_are_on_is_none(client: Any):
    is_in(client, None)
    assert stack(client).status() is None
    is_in(client, "REVIEW_IN_PROGRESS")
    assert stack(client).status() is None


@pytest.mark.parametrize(
    ("status", "words"),
    [("UPDATE_IN_PROGRESS", "wait until that has ended"), ("UPDATE_ROLLBACK_FAILED", "continue-update-rollback")],
)
def test_a_stack_that_is_busy_or_stuck_is_told(client: Any, status: str, words: str):
    is_in(client, status)
    with pytest.raises(AccountError, match=words):
        stack(client).check_idle()


def test_a_proposal_keeps_parameters_and_tags_and_is_removed_in_the_end(client: Any):
    own = [{"Key": "team", "Value": "stars"}]
    is_in(client, "CREATE_COMPLETE", Tags=own)
    parameters = [{"ParameterKey": "A", "ParameterValue": "1"}, {"ParameterKey": "B", "UsePreviousValue": True}]
    expected = {
        "StackName": "cosmicai", "ChangeSetName": ANY, "ChangeSetType": "UPDATE", "TemplateBody": "{}",
        "Parameters": parameters, "Capabilities": ["CAPABILITY_IAM"], "Tags": own,
    }  # fmt: skip
    client.stubber.add_response("create_change_set", {"Id": ARN, "StackId": STACK_ID}, expected)
    client.stubber.add_response("describe_change_set", {"Status": "CREATE_IN_PROGRESS"})
    client.stubber.add_response("describe_change_set", {"Status": "CREATE_COMPLETE", "Changes": [{}], "NextToken": "2"})
    client.stubber.add_response("describe_change_set", {"Status": "CREATE_COMPLETE", "Changes": [{}]})
    is_in(client, "CREATE_COMPLETE")
    client.stubber.add_response("delete_change_set", {}, {"ChangeSetName": ARN, "StackName": "cosmicai"})
    with stack(client).proposal("{}", {"A": "1"}, {"B"}, None) as proposed:
        assert len(proposed.changes) == 2


@pytest.mark.parametrize(
    ("reason", "accepted"),
    [("The submitted information didn't contain changes.", True), ("Template error: no such property", False)],
)
def test_a_proposal_that_changes_nothing_is_no_failure(client: Any, reason: str, accepted: bool):
    is_in(client, None)
    client.stubber.add_response("create_change_set", {"Id": ARN, "StackId": STACK_ID})
    client.stubber.add_response("describe_change_set", {"Status": "FAILED", "StatusReason": reason})
    is_in(client, "REVIEW_IN_PROGRESS")  # the empty stack around the first change set goes with it
    client.stubber.add_response("delete_stack", {}, {"StackName": "cosmicai"})
    if accepted:
        with stack(client).proposal("{}", {}, set(), {}) as proposed:
            assert proposed.changes == []
    else:
        with pytest.raises(AccountError, match=reason), stack(client).proposal("{}", {}, set(), {}):
            pass


def test_what_is_not_there_needs_no_removal(client: Any):
    is_in(client, None)
    stack(client).delete(print)
    is_in(client, "CREATE_COMPLETE")
    stack(client).clear_stillborn(print)
