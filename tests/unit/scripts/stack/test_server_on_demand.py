from collections.abc import Callable

import pytest

from scripts.runs.place import Place
from scripts.stack.server_on_demand import START_S, server_on_demand
from scripts.stack.server_task import OF_RUN, STANDING
from tests.unit.scripts.stack.clients import place_of, refused
from tests.unit.scripts.stack.fake_fargate import ADDRESSES, OUTPUTS, FakeFargate

ENDPOINT = f"{ADDRESSES[0]}:10000"


def given(
    fargate: FakeFargate, inference_s: float | None, within: Callable[[], None] = lambda: None
) -> tuple[str | None, str]:
    said: list[str] = []
    with server_on_demand(fargate.place, inference_s, said.append, fargate.servers) as endpoint:
        within()
    return endpoint, "\n".join(said)


@pytest.mark.parametrize("inference_s", [None, START_S])
def test_a_run_gets_a_server_of_its_own_which_goes_with_it(inference_s: float | None):
    fargate = FakeFargate()
    endpoint, said = given(fargate, inference_s, lambda: fargate.running().index(OF_RUN))
    assert endpoint == ENDPOINT
    assert f"rendezvous server {ENDPOINT}, for this run" in said
    assert fargate.running() == []


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit, ValueError])
def test_it_goes_however_the_run_ends(end: type[BaseException]):
    fargate = FakeFargate()

    def ending() -> None:
        assert fargate.running() == [OF_RUN]
        raise end

    with pytest.raises(end):
        given(fargate, None, ending)
    assert fargate.running() == []


def test_it_goes_when_the_wait_for_it_is_interrupted():
    fargate = FakeFargate()

    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    fargate.sleep = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        given(fargate, None)
    assert fargate.running() == []


def test_a_run_that_is_over_before_a_server_is_up_gets_none_and_says_so():
    fargate = FakeFargate()
    endpoint, said = given(fargate, START_S - 1)
    assert endpoint is None
    assert said.endswith("one starts in 45 s and ranks work for 44 s: the ranks gather by way of storage")
    assert not fargate.tasks


def test_a_standing_server_is_used_and_stays():
    fargate = FakeFargate()
    fargate.servers().start(STANDING, None, {"cosmicai-name": "rendezvous.example.org"})
    fargate.now = 100.0
    endpoint, said = given(fargate, 1.0)
    assert endpoint == "rendezvous.example.org:10000"
    assert "which is up already" in said
    assert fargate.running() == [STANDING]


@pytest.mark.parametrize(
    "place",
    [
        FakeFargate({**OUTPUTS, "RendezvousEndpoint": "balancer:10000"}).place,
        place_of({}, local_url="http://127.0.0.1:4566"),
    ],
)
def test_where_a_server_is_always_there_none_is_started(place: Place):
    fargate = FakeFargate()
    fargate.place = place
    assert given(fargate, None) == (None, "")


def broken(fargate: FakeFargate) -> None:
    fargate.broken = "CannotPullContainerError"


def denied(fargate: FakeFargate) -> None:
    fargate.refusal = refused("AccessDeniedException", "RunTask", "not authorized to perform ecs:RunTask")


@pytest.mark.parametrize(("harm", "told"), [(broken, "CannotPullContainerError"), (denied, "AWS denies RunTask")])
def test_a_run_goes_on_without_the_server_that_cannot_be_started(harm: Callable[[FakeFargate], None], told: str):
    fargate = FakeFargate()
    harm(fargate)
    endpoint, said = given(fargate, None, lambda: fargate.running().clear())
    assert endpoint is None
    assert told in said
    assert "The ranks gather by way of storage" in said
    assert fargate.running() == []


def test_a_server_that_cannot_be_stopped_is_told_of():
    fargate = FakeFargate()
    fargate.ecs.operations = {**fargate.ecs.operations, "stop_task": lambda **_: refused("ThrottlingException")}
    endpoint, said = given(fargate, None)
    assert endpoint == ENDPOINT
    assert "was not stopped" in said
    assert "It ends by itself 30 minutes after its last use, and cosmicai rendezvous down" in said
