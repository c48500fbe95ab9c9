"""A rendezvous server as a task of the stack, by `cosmicai` on the emulator, which knows tasks but runs none."""

import argparse
import itertools
import json

import pytest

from scripts.rendezvous import up
from scripts.runs.place import open_place
from scripts.stack.account import AccountError
from scripts.stack.server_task import ServerTasks
from tests.aws.conftest import AwsAccount

EVERYWHERE = {"stack": None, "region": None, "profile": None, "endpoint_url": None}


def running(account: AwsAccount) -> list[str]:
    return [str(arn) for arn in account.client("ecs").list_tasks(cluster="cosmicai")["taskArns"]]


def test_a_server_is_started_shown_and_stopped(account: AwsAccount):
    assert account.deploy("--yes")[0] == 0
    status, said, _ = account.cosmicai("rendezvous", "status")
    assert (status, said) == (0, "no rendezvous server runs, and none costs anything\n")

    # The emulator starts no container, so that no health check ever passes.
    seconds = itertools.count(0, 60)
    tasks = ServerTasks(open_place(argparse.Namespace(**EVERYWHERE)), lambda _: None, lambda: next(seconds))
    with pytest.raises(AccountError, match=r"was not ready within 180 s \(its task is RUNNING\)"):
        up(tasks, 3600.0, None, None, lambda _: None)
    assert running(account) == []  # nothing is left that costs

    ecs = account.client("ecs")
    described = ecs.describe_tasks(
        cluster="cosmicai", tasks=ecs.list_tasks(cluster="cosmicai", desiredStatus="STOPPED")["taskArns"]
    )["tasks"]
    [override] = described[0]["overrides"]["containerOverrides"]
    assert override["environment"] == [{"name": "RENDEZVOUS_MAX_IDLE_S", "value": "3600"}]
    assert described[0]["startedBy"] == "cosmicai-standing"


def test_what_is_missing_is_one_line_with_the_next_step(account: AwsAccount):
    for command in (["rendezvous", "up"], ["logs", "run-1"], ["doctor"]):
        status, _, error = account.cosmicai(*command)
        assert status == 1, command
        assert "there is no stack cosmicai in us-east-1" in error
        assert "make it by cosmicai deploy" in error
        assert error.count("\n") == 1


def test_a_run_that_is_not_there_is_one_line_with_the_next_step(account: AwsAccount):
    assert account.deploy("--yes")[0] == 0
    status, _, error = account.cosmicai("logs", "run-that-never-was")
    assert status == 1
    assert "has no run run-that-never-was" in error
    assert error.count("\n") == 1


def test_a_stack_that_could_not_be_made_is_one_line_with_the_next_step(account: AwsAccount):
    template = {"Resources": {"R": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": {}}}}}
    account.client("cloudformation").create_stack(StackName="cosmicai", TemplateBody=json.dumps(template))
    for command in (["rendezvous", "status"], ["logs", "run-1"], ["doctor"]):
        status, _, error = account.cosmicai(*command)
        assert status == 1, command
        assert "the stack cosmicai has no output InitFunction: cosmicai deploy brings it up to date" in error
        assert error.count("\n") == 1
