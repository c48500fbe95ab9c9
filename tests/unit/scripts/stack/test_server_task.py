import pytest

from scripts.stack.account import AccountError
from scripts.stack.server_task import OF_RUN, STANDING, ServerTasks
from tests.unit.scripts.stack.clients import place_of, refused
from tests.unit.scripts.stack.fake_fargate import ADDRESSES, OUTPUTS, FakeFargate


def test_a_task_starts_with_a_public_address_and_ends_by_itself():
    fargate = FakeFargate()
    tasks = fargate.servers()
    said: list[str] = []
    task = tasks.wait_until_ready(tasks.start(OF_RUN, 1800.0, {"a": "b"}), said.append)
    assert (task.ready, task.started_by, task.tags) == (True, OF_RUN, {"a": "b"})
    assert tasks.addresses(task) == ADDRESSES
    assert 40 <= fargate.now <= 44
    assert [line.split("is ")[1] for line in said] == ["provisioning", "pending", "running"]
    [(_, asked)] = [one for one in fargate.ecs.asked if one[0] == "run_task"]
    network = asked["networkConfiguration"]["awsvpcConfiguration"]
    assert network == {"subnets": ["subnet-1", "subnet-2"], "securityGroups": ["sg-1"], "assignPublicIp": "ENABLED"}
    assert asked["overrides"]["containerOverrides"] == [
        {"name": "rendezvous", "environment": [{"name": "RENDEZVOUS_MAX_IDLE_S", "value": "1800"}]}
    ]
    assert (asked["launchType"], asked["taskDefinition"]) == ("FARGATE", OUTPUTS["RendezvousTask"])


def test_only_tasks_of_such_commands_are_listed():
    fargate = FakeFargate()
    tasks = fargate.servers()
    started = [tasks.start(who, None, {}) for who in (STANDING, "ecs-svc/1", OF_RUN)]
    assert [task.arn for task in tasks.running()] == [started[0].arn, started[2].arn]
    tasks.stop(started[0])
    assert [task.arn for task in tasks.running()] == [started[2].arn]
    [(_, asked)] = [one for one in fargate.ecs.asked if one[0] == "list_tasks"][:1]
    assert (asked["cluster"], asked["family"]) == ("stars", "stars-rendezvous")
    assert (
        fargate.tasks[started[0].arn]["asked"]["overrides"]["containerOverrides"][0]["environment"][0]["value"] == "off"
    )


@pytest.mark.parametrize(
    ("reason", "step"),
    [
        ("CannotPullContainerError: image manifest unknown", "check that the image is in this region's ECR"),
        ("You've reached the limit on the number of vCPUs", "ask for more in Service Quotas"),
        ("", "mend that and run the command again"),
    ],
)
def test_a_task_that_stops_instead_of_starting_is_one_line_with_the_next_step(reason: str, step: str):
    fargate = FakeFargate()
    fargate.broken = reason or " "
    tasks = fargate.servers()
    with pytest.raises(AccountError, match=f"cannot be started: .*Next: ({step})"):
        tasks.wait_until_ready(tasks.start(OF_RUN, None, {}), lambda _: None)


def test_a_task_that_does_not_get_ready_is_given_up():
    fargate = FakeFargate()
    tasks = fargate.servers()
    with pytest.raises(AccountError, match=r"not ready within 5 s \(its task is PROVISIONING\).*/ecs/stars-rendezvous"):
        tasks.wait_until_ready(tasks.start(OF_RUN, None, {}), lambda _: None, timeout_s=5)


def test_what_ecs_refuses_is_told():
    fargate = FakeFargate()
    fargate.failures = [{"reason": "RESOURCE:FARGATE", "detail": "no capacity"}]
    with pytest.raises(AccountError, match="RESOURCE:FARGATE no capacity"):
        fargate.servers().start(OF_RUN, None, {})
    fargate.refusal = refused("ClientException", message="Unable to assume the service linked role")
    with pytest.raises(AccountError, match="Next: run the command again, since AWS makes that role"):
        fargate.servers().start(OF_RUN, None, {})


def test_a_task_that_has_ended_needs_no_stop_and_one_without_an_interface_has_no_address():
    fargate = FakeFargate()
    tasks = fargate.servers()
    task = tasks.start(OF_RUN, None, {})
    assert tasks.addresses(task) == []
    del fargate.tasks[task.arn]
    tasks.stop(task)


def test_where_no_server_can_be_started_the_next_step_is_told():
    local = place_of({}, local_url="http://127.0.0.1:4566")
    with pytest.raises(AccountError, match="a local endpoint has the rendezvous server that it was started with"):
        ServerTasks(local)
    old = FakeFargate({"Cluster": "stars"}).place
    with pytest.raises(AccountError, match=r"does not name its RendezvousSecurityGroup, .*: cosmicai deploy"):
        ServerTasks(old)
