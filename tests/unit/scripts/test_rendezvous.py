import pytest

from scripts.cli import main
from scripts.rendezvous import down, show, up
from scripts.stack.account import AccountError
from scripts.stack.server_task import OF_RUN, STANDING
from tests.unit.scripts.stack.fake_fargate import ADDRESSES, OUTPUTS, FakeFargate

NAME = "rendezvous.example.org"


def test_a_standing_server_comes_up_and_goes_down():
    fargate = FakeFargate()
    said: list[str] = []
    up(fargate.servers(), 3600.0, None, None, said.append)
    assert f"a rendezvous server is up: {ADDRESSES[0]}:10000 ({', '.join(ADDRESSES)})" in said
    assert f'"rendezvous_endpoint": "{ADDRESSES[0]}:10000"' in said[-2]
    assert said[-1] == "it costs 0.0149 USD an hour, until 60 minutes after its last use"  # on arm64
    assert fargate.running() == [STANDING]
    said.clear()
    up(fargate.servers(), 3600.0, None, None, said.append)
    assert said == [f"a rendezvous server is up already: {ADDRESSES[0]}:10000"]
    said.clear()
    show(fargate.servers(), said.append)
    assert said == [f"{ADDRESSES[0]}:10000: standing, ready, for 0 min", "1 server, 0.0149 USD an hour"]
    said.clear()
    down(fargate.servers(), said.append)
    assert said == [f"stopped {ADDRESSES[0]}:10000: standing, ready, for 0 min"]
    assert fargate.running() == []
    show(fargate.servers(), said.append)
    down(fargate.servers(), said.append)
    assert said[1:] == [
        "no rendezvous server runs, and none costs anything",
        "no rendezvous server runs that could be stopped",
    ]


def test_it_has_a_name_in_a_zone_as_long_as_it_is_there():
    fargate = FakeFargate()
    said: list[str] = []
    up(fargate.servers(), None, "Z1", NAME, said.append)
    assert said[-1].endswith("until cosmicai rendezvous down")
    assert fargate.records == {(NAME, "A"): ADDRESSES[:1], (NAME, "AAAA"): ADDRESSES[1:]}
    down(fargate.servers(), said.append)
    assert said[-1] == f"removed the record of {NAME}"
    assert fargate.records == {}


def test_what_was_left_of_runs_is_shown_and_stopped():
    fargate = FakeFargate()
    fargate.servers().start(OF_RUN, 1.0, {})
    said: list[str] = []
    show(fargate.servers(), said.append)
    assert said[0] == "no address yet:10000: of one run, provisioning, for 0 min"
    down(fargate.servers(), said.append)
    assert fargate.running() == []


def test_nothing_is_left_where_it_does_not_come_up():
    fargate = FakeFargate()
    fargate.interfaces = []
    with pytest.raises(AccountError, match="has no public address: its subnets"):
        up(fargate.servers(), None, None, None, lambda _: None)
    with pytest.raises(AccountError, match="there is no hosted zone Z2"):
        up(fargate.servers(), None, "Z2", NAME, lambda _: None)
    assert fargate.running() == []


def test_one_that_always_runs_is_named():
    fargate = FakeFargate({**OUTPUTS, "RendezvousEndpoint": "balancer:10000"})
    said: list[str] = []
    up(fargate.servers(), None, None, None, said.append)
    show(fargate.servers(), said.append)
    down(fargate.servers(), said.append)
    assert not fargate.tasks
    assert said == [
        "the stack has a rendezvous server that always runs: balancer:10000",
        "balancer:10000: behind the load balancer, always there",
        "no rendezvous server runs that could be stopped",
        "the one behind the load balancer goes with cosmicai deploy --parameter WithLoadBalancer=false",
    ]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["up", "--hosted-zone", "Z1"], "--hosted-zone and --name go together"),
        (["status", "--hosted-zone", "Z1", "--name", NAME], "go with up, and not with status"),
        (["up", "--max-idle-minutes", "-1"], "--max-idle-minutes is -1; allowed"),
        (["sideways"], "action is 'sideways'; allowed: up, down, status"),
    ],
)
def test_wrong_flags_are_refused_at_once(words: list[str], told: str, capsys: pytest.CaptureFixture[str]):
    assert main(["rendezvous", *words]) == 2
    assert told in capsys.readouterr().err
