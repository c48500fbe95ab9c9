"""ECS, EC2 and Route 53 as far as rendezvous servers need them, for an account whose time a test has in its hand."""

from datetime import UTC, datetime
from typing import Any

from scripts.runs.place import Place
from scripts.stack.server_task import ServerTasks
from tests.unit.scripts.stack.clients import Client, place_of, refused

OUTPUTS = {
    "Cluster": "stars",
    "RendezvousTask": "arn:aws:ecs:eu-west-1:123456789012:task-definition/stars-rendezvous:7",
    "RendezvousSubnets": "subnet-1,subnet-2",
    "RendezvousSecurityGroup": "sg-1",
}
ADDRESSES = ["192.0.2.7", "2001:db8::7"]
# What a task goes through, and for how many seconds.
LIFE = [("PROVISIONING", 10.0), ("PENDING", 20.0), ("RUNNING", 10.0)]  # RUNNING until its health check has passed


class FakeFargate:
    """An account in which tasks start as they do on Fargate."""

    def __init__(self, outputs: dict[str, str] | None = None) -> None:
        self.now = 0.0
        self.tasks: dict[str, dict[str, Any]] = {}
        self.begun: dict[str, float] = {}
        self.records: dict[tuple[str, str], list[str]] = {}
        self.refusal: Exception | None = None
        self.failures: list[dict[str, str]] = []
        self.broken = ""  # why tasks stop instead of running
        self.ecs = Client(
            {
                "run_task": self.run_task,
                "describe_tasks": lambda tasks, **_: {"tasks": [self.look(arn) for arn in tasks]},
                "list_tasks": lambda **_: {"taskArns": [arn for arn in self.tasks if self.runs(arn)]},
                "stop_task": self.stop_task,
            }
        )
        self.route53 = Client(
            {
                "get_hosted_zone": lambda **asked: (
                    {"HostedZone": {"Name": "example.org."}} if asked["Id"] == "Z1" else refused("NoSuchHostedZone")
                ),
                "list_resource_record_sets": lambda **_: {"ResourceRecordSets": self.listed()},
                "change_resource_record_sets": self.change,
            }
        )
        interface = {"Association": {"PublicIp": ADDRESSES[0]}, "Ipv6Addresses": [{"Ipv6Address": ADDRESSES[1]}]}
        self.interfaces = [interface]
        ec2 = Client({"describe_network_interfaces": lambda **_: {"NetworkInterfaces": self.interfaces}})
        configuration = {"Architectures": ["arm64"]}
        functions = Client({"get_function_configuration": lambda **_: configuration})
        clients = {"ecs": self.ecs, "ec2": ec2, "route53": self.route53, "lambda": functions}
        self.place = place_of(clients, outputs=outputs or OUTPUTS)

    def servers(self, place: Place | None = None) -> ServerTasks:
        return ServerTasks(place or self.place, self.sleep, lambda: self.now)

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def run_task(self, **asked: Any) -> Any:
        if self.refusal is not None:
            return self.refusal
        if self.failures:
            return {"tasks": [], "failures": self.failures}
        arn = f"arn:task/{len(self.tasks)}"
        self.begun[arn] = self.now
        self.tasks[arn] = {"taskArn": arn, "startedBy": asked["startedBy"], "tags": asked["tags"], "asked": asked}
        return {"tasks": [self.look(arn)], "failures": []}

    def look(self, arn: str) -> dict[str, Any]:
        task, age = self.tasks[arn], self.now - self.begun[arn]
        if "lastStatus" in task:
            return task
        status = next((name for name, seconds in LIFE if (age := age - seconds) < 0), "HEALTHY")
        if self.broken and status != "PROVISIONING":
            return {**task, "lastStatus": "STOPPED", "stoppedReason": self.broken}
        details = [{"name": "networkInterfaceId", "value": "eni-1"}] if status != "PROVISIONING" else []
        return {
            **task,
            "lastStatus": "RUNNING" if status == "HEALTHY" else status,
            "healthStatus": "HEALTHY" if status == "HEALTHY" else "UNKNOWN",
            "createdAt": datetime.now(UTC),
            "attachments": [{"details": details}],
        }

    def runs(self, arn: str) -> bool:
        return self.look(arn)["lastStatus"] != "STOPPED"

    def running(self) -> list[str]:
        return [task["startedBy"] for arn, task in self.tasks.items() if self.runs(arn)]

    def stop_task(self, task: str, **_: Any) -> Any:
        if task not in self.tasks:
            return refused("InvalidParameterException", message="The referenced task was not found.")
        self.tasks[task]["lastStatus"] = "STOPPED"
        return {}

    def change(self, **asked: Any) -> dict[str, Any]:
        for change in asked["ChangeBatch"]["Changes"]:
            record = change["ResourceRecordSet"]
            key = (record["Name"].rstrip("."), record["Type"])
            if change["Action"] == "DELETE":
                del self.records[key]
            else:
                self.records[key] = [one["Value"] for one in record["ResourceRecords"]]
        return {}

    def listed(self) -> list[dict[str, Any]]:
        return [
            {
                "Name": f"{name.rstrip('.')}.",
                "Type": kind,
                "TTL": 30,
                "ResourceRecords": [{"Value": value} for value in values],
            }
            for (name, kind), values in self.records.items()
        ]
