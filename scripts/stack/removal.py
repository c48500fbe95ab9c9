"""Removing a stack: what goes, what stays, what must be stopped first."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from scripts.stack.account import Account, AccountError, code_of
from scripts.stack.bucket import empty, holds_anything, kept_buckets
from scripts.stack.change_set import Sleep, Stack
from scripts.stack.status import resources
from scripts.words import counted

BUCKET = "AWS::S3::Bucket"


@dataclass
class Removal:
    """Removes the stack and that of its images, and with `with_data` the buckets that the stack has made."""

    account: Account
    name: str
    with_data: bool
    say: Callable[[str], None]
    agree: Callable[[str], bool]
    sleep: Sleep
    dry_run: bool = False

    def __post_init__(self) -> None:
        client = self.account.client("cloudformation")
        self.stacks = [Stack(client, self.name, self.sleep), Stack(client, f"{self.name}-images", self.sleep)]

    def run(self) -> bool:
        """Does it.

        Returns:
            Whether it was done; False where the user did not agree.

        Raises:
            AccountError: there is nothing of that name, or something cannot be removed.
        """
        self.say(f"account {self.account.number}, region {self.account.region}, as {self.account.caller}")
        there = [stack for stack in self.stacks if stack.describe() is not None]
        s3 = self.account.client("s3")
        own = resources(self.stacks[0].client, self.name) if self.stacks[0] in there else []
        made = [r["PhysicalResourceId"] for r in own if r["ResourceType"] == BUCKET and "PhysicalResourceId" in r]
        buckets = list(dict.fromkeys([*made, *kept_buckets(s3, self.name)]))  # those of earlier stacks, too
        if not there and not (buckets and self.with_data):
            kept = f"; its bucket {', '.join(buckets)} goes with --with-data" if buckets else ""
            raise AccountError(
                f"there is no stack {self.name} in {self.account.region}{kept}: "
                "--stack and --region name another, cosmicai deploy makes one"
            )
        for stack in there:
            stack.check_idle()
        self._show(there, buckets)
        if self.dry_run:
            return True
        if not self.agree(
            "Remove all that?" if not (buckets and self.with_data) else "Remove all that, data included?"
        ):
            self.say("nothing was removed")
            return False
        for stack in there:
            self._stop_what_runs(stack.outputs())
            stack.delete(self.say)
        for bucket in buckets if self.with_data else ():
            empty(s3, bucket, self.say)
            s3.delete_bucket(Bucket=bucket)
            self.say(f"removed the bucket {bucket}")
        self.say("everything is gone" if self.with_data or not buckets else f"kept: {', '.join(buckets)}")
        return True

    def _show(self, there: list[Stack], buckets: list[str]) -> None:
        s3 = self.account.client("s3")
        self.say("what goes:")
        for stack in there:
            for resource in resources(stack.client, stack.name):
                if resource.get("PhysicalResourceId") not in buckets:
                    self.say(f"  {resource['LogicalResourceId']:24} {resource.get('PhysicalResourceId', '')}")
        for bucket in buckets:
            full = "with everything in it" if holds_anything(s3, bucket) else "which is empty"
            if self.with_data:
                self.say(f"  {'Bucket':24} {bucket}, {full}")
        stays = [] if self.with_data else buckets
        if existing := self.stacks[0].parameters().get("ExistingBucket"):
            stays = [*stays, existing]
        if stays:
            self.say("what stays:")
            for bucket in stays:
                self.say(f"  {'Bucket':24} {bucket}")

    def _stop_what_runs(self, outputs: dict[str, str]) -> None:
        """Stops runs and rendezvous servers, which CloudFormation would wait for."""
        if machine := outputs.get("StateMachineArn"):
            states = self.account.client("stepfunctions")
            pages = states.get_paginator("list_executions").paginate(stateMachineArn=machine, statusFilter="RUNNING")
            running = [run["executionArn"] for page in _there(pages) for run in page["executions"]]
            for run in running:
                states.stop_execution(executionArn=run, error="Removed", cause="cosmicai destroy removes the stack")
            if running:
                self.say(f"stopped {counted(len(running), 'run')}")
        if cluster := outputs.get("Cluster"):
            ecs = self.account.client("ecs")
            pages = ecs.get_paginator("list_tasks").paginate(cluster=cluster)
            tasks = [task for page in _there(pages) for task in page["taskArns"]]
            for task in tasks:
                ecs.stop_task(cluster=cluster, task=task, reason="cosmicai destroy removes the stack")
            if tasks:
                ecs.get_waiter("tasks_stopped").wait(cluster=cluster, tasks=tasks)
                self.say(f"stopped {counted(len(tasks), 'rendezvous server')}")


def _there(pages: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The pages of a list; none where what it lists was removed by hand."""
    try:
        yield from pages
    except ClientError as error:
        if code_of(error) not in ("StateMachineDoesNotExist", "ClusterNotFoundException"):
            raise
