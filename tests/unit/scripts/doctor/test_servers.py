import pytest

from lambda_image.address import Address
from scripts.doctor.servers import MAX_IDLE_S, servers_for
from scripts.stack.server_task import OF_RUN
from tests.unit.scripts.stack.clients import place_of
from tests.unit.scripts.stack.fake_fargate import ADDRESSES, OUTPUTS, FakeFargate


def test_servers_that_are_given_are_used_and_none_is_started():
    fargate = FakeFargate()
    with servers_for(fargate.place, ["a:1", "b:2"], print, fargate.servers) as servers:
        assert servers == (Address("a", 1), Address("b", 2))
    assert not fargate.tasks


def test_a_stack_gets_two_for_a_while():
    fargate = FakeFargate()
    with servers_for(fargate.place, [], lambda _: None, fargate.servers) as servers:
        assert servers == (Address(ADDRESSES[0], 10000), Address(ADDRESSES[0], 10001)) * 2
        assert fargate.running() == [OF_RUN, OF_RUN]
        [container] = next(iter(fargate.tasks.values()))["asked"]["overrides"]["containerOverrides"]
        assert container["environment"][0]["value"] == f"{MAX_IDLE_S:g}"
    assert fargate.running() == []


def test_one_that_always_runs_is_the_first():
    fargate = FakeFargate({**OUTPUTS, "RendezvousEndpoint": "balancer:10000"})
    with servers_for(fargate.place, [], lambda _: None, fargate.servers) as servers:
        assert servers[:2] == (Address("balancer", 10000), Address("balancer", 10001))
        assert fargate.running() == [OF_RUN]
    assert fargate.running() == []


def test_none_is_left_when_something_fails_within():
    fargate = FakeFargate()
    with pytest.raises(KeyboardInterrupt), servers_for(fargate.place, [], lambda _: None, fargate.servers):
        raise KeyboardInterrupt
    assert fargate.running() == []


def test_a_local_endpoint_elsewhere_has_none_that_could_be_known():
    with servers_for(place_of({}, local_url="http://192.0.2.1:4566"), [], print) as servers:
        assert servers == ()
