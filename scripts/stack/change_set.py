"""A stack as CloudFormation has it, and change sets on it."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from scripts.stack.account import AccountError
from scripts.stack.progress import FIRST_PAUSE_S, GROWTH, LONGEST_PAUSE_S, StackEvents

CAPABILITIES = ["CAPABILITY_IAM"]  # the stack makes roles, to which it gives no names
UNCHANGED = ("didn't contain changes", "No updates are to be performed", "no changes")
# States in which a stack never worked or is half gone. Nothing can be done with it but remove it.
STILLBORN = {"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED"}
STUCK = {"UPDATE_ROLLBACK_FAILED"}
Sleep = Callable[[float], None]


@dataclass
class ChangeSet:
    """A change set that can be executed, or that would change nothing."""

    arn: str
    stack_id: str
    changes: list[Mapping[str, Any]]
    gone: bool = False  # it was executed or removed


@dataclass(frozen=True)
class Stack:
    """The stack of this name, whether or not it exists."""

    client: Any
    name: str
    sleep: Sleep = time.sleep

    def describe(self) -> dict[str, Any] | None:
        """Returns what DescribeStacks says, or None where there is no such stack."""
        try:
            [found] = self.client.describe_stacks(StackName=self.name)["Stacks"]
        except ClientError as error:
            if error.response["Error"]["Code"] == "ValidationError" and "does not exist" in str(error):
                return None
            raise
        return dict(found)

    def status(self) -> str | None:
        """Returns its status; None where it does not exist, or only change sets on it do."""
        found = self.describe()
        return None if found is None or found["StackStatus"] == "REVIEW_IN_PROGRESS" else str(found["StackStatus"])

    def outputs(self) -> dict[str, str]:
        """Returns its outputs by their names."""
        found = self.describe() or {}
        return {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", ())}

    def parameters(self) -> dict[str, str]:
        """Returns the values of its parameters by their names."""
        found = self.describe() or {}
        return {given["ParameterKey"]: given["ParameterValue"] for given in found.get("Parameters", ())}

    def check_idle(self) -> None:
        """Makes sure that it can be changed.

        Raises:
            AccountError: it is being changed, or a change of it went wrong in a way that only AWS can mend.
        """
        status = self.status()
        if status in STUCK:
            raise AccountError(
                f"the stack {self.name} is {status}: run aws cloudformation continue-update-rollback --stack-name "
                f"{self.name}, and then this command again"
            )
        if status is not None and status.endswith("_IN_PROGRESS"):
            raise AccountError(f"the stack {self.name} is {status}: wait until that has ended, then run this again")

    def clear_stillborn(self, say: Callable[[str], None]) -> None:
        """Removes a stack that could not be made."""
        if (status := self.status()) in STILLBORN:
            say(f"the stack {self.name} is {status}, so it is removed first")
            self.delete(say)

    @contextmanager
    def proposal(
        self, body: str, parameters: Mapping[str, str], kept: set[str], tags: Mapping[str, str] | None
    ) -> Iterator[ChangeSet]:
        """Makes a change set, which is removed in the end unless it was executed.

        Args:
            body: the template.
            parameters: those with new values.
            kept: the names of those that keep their values.
            tags: of the stack and all in it; None keeps those that it has.

        Raises:
            AccountError: CloudFormation does not accept the template or a parameter.
        """
        found = self.describe()
        exists = found is not None and found["StackStatus"] != "REVIEW_IN_PROGRESS"
        if tags is None:
            own = found["Tags"] if found is not None else []
        else:
            own = [{"Key": name, "Value": value} for name, value in tags.items()]
        made = self.client.create_change_set(
            StackName=self.name,
            ChangeSetName=f"cosmicai-{datetime.now(UTC):%Y%m%d-%H%M%S-%f}",
            ChangeSetType="UPDATE" if exists else "CREATE",
            TemplateBody=body,
            Parameters=[
                *({"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()),
                *({"ParameterKey": name, "UsePreviousValue": True} for name in sorted(kept)),
            ],
            Capabilities=CAPABILITIES,
            Tags=own,
        )
        proposed = ChangeSet(made["Id"], made["StackId"], [])
        try:
            self._wait(proposed)
            yield proposed
        finally:
            if not proposed.gone:
                self._discard(proposed)

    def _wait(self, proposed: ChangeSet) -> None:
        pause = FIRST_PAUSE_S
        names = {"ChangeSetName": proposed.arn, "StackName": self.name}
        while (described := self.client.describe_change_set(**names))["Status"] not in ("CREATE_COMPLETE", "FAILED"):
            self.sleep(pause)
            pause = min(pause * GROWTH, LONGEST_PAUSE_S)
        if described["Status"] == "FAILED":
            reason = described.get("StatusReason", "AWS gives no reason")
            if any(words in reason for words in UNCHANGED):
                return
            raise AccountError(f"CloudFormation does not accept the stack {self.name}: {reason}")
        proposed.changes += described["Changes"]
        while token := described.get("NextToken"):
            described = self.client.describe_change_set(**names, NextToken=token)
            proposed.changes += described["Changes"]

    def _discard(self, proposed: ChangeSet) -> None:
        """Removes a change set, and the empty stack that CloudFormation keeps around the first one."""
        proposed.gone = True
        found = self.describe()
        if found is not None and found["StackStatus"] == "REVIEW_IN_PROGRESS":
            self.client.delete_stack(StackName=self.name)
        elif found is not None:
            self.client.delete_change_set(ChangeSetName=proposed.arn, StackName=self.name)

    def execute(self, proposed: ChangeSet, say: Callable[[str], None]) -> None:
        """Carries a change set out.

        Raises:
            AccountError: a resource failed.
        """
        events = StackEvents.begin(self.client, proposed.stack_id, sleep=self.sleep)
        self.client.execute_change_set(ChangeSetName=proposed.arn, StackName=self.name)
        proposed.gone = True
        events.follow(say)

    def delete(self, say: Callable[[str], None]) -> None:
        """Removes the stack, if there is one.

        Raises:
            AccountError: a resource could not be removed.
        """
        if (found := self.describe()) is None:
            return
        events = StackEvents.begin(self.client, found["StackId"], sleep=self.sleep)
        self.client.delete_stack(StackName=self.name)
        events.follow(say)
