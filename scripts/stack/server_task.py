"""Rendezvous servers as Fargate tasks of the stack, with a public address each. One costs only while it runs."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from scripts.runs.place import Place
from scripts.stack.account import AccountError, code_of
from scripts.stack.change_set import Sleep
from scripts.stack.progress import next_step

PORT = 10_000
CONTAINER = "rendezvous"  # in stack.yaml
STANDING, OF_RUN = "cosmicai-standing", "cosmicai-run"  # who started a task
ZONE_TAG, NAME_TAG = "cosmicai-zone", "cosmicai-name"  # of a task that has a record in a zone
READY_TIMEOUT_S = 180.0  # a task is usually up within a minute
PAUSE_S = 2.0  # between two looks
OUTPUTS = ("Cluster", "RendezvousTask", "RendezvousSubnets", "RendezvousSecurityGroup")


@dataclass(frozen=True)
class ServerTask:
    """One task, as ECS describes it."""

    arn: str
    status: str  # PROVISIONING, PENDING, RUNNING, ... STOPPED
    healthy: bool  # whether /readyz has answered, which the task's health check asks
    started_by: str
    since: datetime | None
    interface: str | None  # its network interface
    stopped_reason: str
    tags: Mapping[str, str]

    @property
    def ready(self) -> bool:
        """Says whether ranks may come."""
        return self.status == "RUNNING" and self.healthy


@dataclass(frozen=True)
class ServerTasks:
    """The tasks of an place. `sleep` waits for so many seconds, and `clock` tells the time in seconds."""

    place: Place
    sleep: Sleep = time.sleep
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        if self.place.local is not None:
            raise AccountError(
                "a local endpoint has the rendezvous server that it was started with (RENDEZVOUS_ENDPOINT): "
                "`cosmicai rendezvous` is for a stack on AWS"
            )
        if missing := set(OUTPUTS) - self.place.outputs.keys():
            raise AccountError(
                f"the stack {self.place.stack} does not name its {', '.join(sorted(missing))}: cosmicai deploy "
                "brings it to this version"
            )

    @property
    def cluster(self) -> str:
        return self.place.outputs["Cluster"]

    def running(self) -> list[ServerTask]:
        """Lists the tasks that run or start, those of a service with a load balancer left out."""
        client = self._ecs()
        family = self.place.outputs["RendezvousTask"].rpartition("/")[2].split(":")[0]
        pages = client.get_paginator("list_tasks").paginate(
            cluster=self.cluster, family=family, desiredStatus="RUNNING"
        )
        arns = [arn for page in pages for arn in page["taskArns"]]
        found = [self._described(arns[first : first + 100]) for first in range(0, len(arns), 100)]
        return [task for some in found for task in some if task.started_by in (STANDING, OF_RUN)]

    def start(self, started_by: str, max_idle_s: float | None, tags: Mapping[str, str]) -> ServerTask:
        """Starts a task.

        Args:
            started_by: STANDING or OF_RUN.
            max_idle_s: seconds without use after which the server ends by itself; None where it does not.
            tags: of the task.

        Raises:
            AccountError: ECS cannot start it. The message has the next step.
        """
        outputs = self.place.outputs
        variables = [{"name": "RENDEZVOUS_MAX_IDLE_S", "value": "off" if max_idle_s is None else f"{max_idle_s:g}"}]
        network = {
            "subnets": outputs["RendezvousSubnets"].split(","),
            "securityGroups": [outputs["RendezvousSecurityGroup"]],
            "assignPublicIp": "ENABLED",
        }
        try:
            answer = self._ecs().run_task(
                cluster=self.cluster,
                taskDefinition=outputs["RendezvousTask"],
                launchType="FARGATE",
                count=1,
                startedBy=started_by,
                networkConfiguration={"awsvpcConfiguration": network},
                overrides={"containerOverrides": [{"name": CONTAINER, "environment": variables}]},
                tags=[{"key": key, "value": value} for key, value in tags.items()],
            )
        except ClientError as error:
            if code_of(error) not in ("ClientException", "InvalidParameterException", "ClusterNotFoundException"):
                raise
            raise AccountError(_cannot_start(error.response["Error"]["Message"])) from error
        if answer.get("failures"):
            failure = answer["failures"][0]
            raise AccountError(_cannot_start(f"{failure.get('reason', '')} {failure.get('detail', '')}"))
        return _task(answer["tasks"][0])

    def wait_until_ready(
        self, task: ServerTask, say: Callable[[str], None], timeout_s: float = READY_TIMEOUT_S
    ) -> ServerTask:
        """Waits until the server in a task answers /readyz.

        Raises:
            AccountError: the task ended, or that took longer than `timeout_s` seconds. The message has the next step.
        """
        started, told = self.clock(), ""
        while not task.ready:
            if task.status in ("DEPROVISIONING", "STOPPED", "STOPPING", "DEACTIVATING"):
                raise AccountError(_cannot_start(task.stopped_reason or f"the task is {task.status}"))
            if (waited := self.clock() - started) > timeout_s:
                raise AccountError(
                    f"the rendezvous server was not ready within {timeout_s:g} s (its task is {task.status}): its log "
                    f"group /ecs/{self.place.stack}-rendezvous may say why"
                )
            if task.status != told:
                say(f"{waited:5.0f} s  the rendezvous server is {task.status.lower()}")
                told = task.status
            self.sleep(PAUSE_S)
            task = self.look(task)
        return task

    def look(self, task: ServerTask) -> ServerTask:
        """Describes a task anew. ECS may not know of one that has only been started."""
        return next(iter(self._described([task.arn])), task)

    def addresses(self, task: ServerTask) -> list[str]:
        """Returns the public addresses of a task, IPv4 first; none where it has none yet."""
        if task.interface is None:
            return []
        client = self.place.client("ec2")
        found = client.describe_network_interfaces(NetworkInterfaceIds=[task.interface])["NetworkInterfaces"]
        addresses = [interface.get("Association", {}).get("PublicIp") for interface in found]
        addresses += [one["Ipv6Address"] for interface in found for one in interface.get("Ipv6Addresses", ())]
        return [address for address in addresses if address]

    def stop(self, task: ServerTask) -> None:
        """Stops a task. It ends within some seconds, and costs nothing more."""
        try:
            self._ecs().stop_task(cluster=self.cluster, task=task.arn, reason="cosmicai")
        except ClientError as error:
            if "not found" not in str(error).lower() and "not find" not in str(error).lower():  # it has ended
                raise

    def _ecs(self) -> Any:
        return self.place.client("ecs")

    def _described(self, arns: list[str]) -> list[ServerTask]:
        if not arns:
            return []
        found = self._ecs().describe_tasks(cluster=self.cluster, tasks=arns, include=["TAGS"])
        return [_task(task) for task in found["tasks"]]


def _task(task: Mapping[str, Any]) -> ServerTask:
    details = [one for attachment in task.get("attachments", ()) for one in attachment.get("details", ())]
    reasons = [container.get("reason", "") for container in task.get("containers", ())]
    return ServerTask(
        arn=task["taskArn"],
        status=task.get("lastStatus", "PROVISIONING"),
        healthy=task.get("healthStatus") == "HEALTHY",
        started_by=task.get("startedBy", ""),
        since=task.get("startedAt") or task.get("createdAt"),
        interface=next((one["value"] for one in details if one["name"] == "networkInterfaceId"), None),
        stopped_reason=" ".join(filter(None, [task.get("stoppedReason", ""), *reasons])),
        tags={tag["key"]: tag["value"] for tag in task.get("tags", ())},
    )


def _cannot_start(reason: str) -> str:
    shown = " ".join(reason.split())
    return f"the rendezvous server cannot be started: {shown or 'ECS gives no reason'}. Next: {next_step(shown)}"
