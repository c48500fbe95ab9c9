"""What a communicator adds to its operations: limits of time, checks of arguments, and news of peers."""

import inspect
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from lambda_image.comm.channel.handshake import Member
from lambda_image.comm.channel.signals import Kind
from lambda_image.comm.communicator import DEFAULT_TIMEOUT_S, Communicator
from lambda_image.comm.operations.exchange import Exchange
from lambda_image.errors import PeerTimeout, RendezvousUnreachable
from tests.unit.lambda_image.comm.local_group import LocalGroup, RankInThread

PATIENCE_S = 30.0  # only a hanging test takes so long
OPERATIONS: dict[str, Callable[..., object]] = {
    "send": lambda comm, **limits: comm.send(b"", 1, **limits),
    "recv": lambda comm, **limits: comm.recv(1, **limits),
    "barrier": lambda comm, **limits: comm.barrier(**limits),
    "bcast": lambda comm, **limits: comm.bcast(root=1, **limits),
    "gather": lambda comm, **limits: comm.gather(b"", **limits),
    "withdraw": lambda comm, **limits: comm.withdraw(ValueError(), 1, **limits),
    "allgather": lambda comm, **limits: comm.allgather(b"", **limits),
    "scatter": lambda comm, **limits: comm.scatter(root=1, **limits),
    "reduce": lambda comm, **limits: comm.reduce(np.ones(1), **limits),
    "allreduce": lambda comm, **limits: comm.allreduce(np.ones(1), **limits),
    "scan": lambda comm, **limits: comm.scan(np.ones(1), **limits),
    "wait_for_peer": lambda comm, **limits: comm.wait_for_peer(1, **limits),
    "join": lambda comm, **limits: Communicator.join(
        None, run_id="run", run_key=bytes(32), rank=0, world_size=1, **limits
    ).close(),
}
SILENT = ("withdraw", "wait_for_peer", "join")  # raise nothing for a peer that does not come


@pytest.fixture
def lonely() -> Iterator[Communicator]:
    """Rank 0 of two, the other of which never comes."""
    group = LocalGroup(2, absent=[1])
    yield Communicator(group.ranks[0], None)
    group.close()


def test_a_user_sees_operations_and_facts_only() -> None:
    internals = {"choose", "exchange", "scratch", "star_only", "roster", "wakeup", "operation"}
    with Communicator.join(None, run_id="run", run_key=bytes(32), rank=0, world_size=1) as communicator:
        assert not internals & set(dir(communicator))


def test_every_wait_is_listed_above() -> None:
    methods = [(name, item) for name, item in inspect.getmembers(Communicator, inspect.isroutine) if name[0] != "_"]
    assert {name for name, item in methods if "timeout_s" in inspect.signature(item).parameters} == OPERATIONS.keys()


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_wait_has_one_limit_and_that_is_finite(lonely: Communicator, operation: str) -> None:
    with pytest.raises(ValueError, match="both deadline and timeout_s"):
        OPERATIONS[operation](lonely, deadline=time.monotonic(), timeout_s=1.0)
    for limits in ({"deadline": float("inf")}, {"timeout_s": float("inf")}, {"timeout_s": float("nan")}):
        with pytest.raises(ValueError, match="every wait must end"):
            OPERATIONS[operation](lonely, **limits)


@pytest.mark.parametrize("operation", [operation for operation in OPERATIONS if operation not in SILENT])
def test_an_operation_ends_when_its_time_is_over(lonely: Communicator, operation: str) -> None:
    for limits in ({"timeout_s": 0.0}, {"deadline": time.monotonic()}):
        with pytest.raises(PeerTimeout) as caught:
            OPERATIONS[operation](lonely, **limits)
        assert (caught.value.rank, caught.value.peer) == (0, 1)


class Asked(Exception):
    """Says by when an operation would end, instead of doing it."""


class NotingGroup(RankInThread):
    def exchange(self, kind: Kind, deadline: float, *, abort_to: Iterable[int] = ()) -> Exchange:
        raise Asked(deadline)

    def wait_for_peer(self, rank: int, deadline: float) -> bool:
        raise Asked(deadline)


@pytest.mark.parametrize("operation", [operation for operation in OPERATIONS if operation != "join"])
def test_a_limit_is_taken_as_it_is_and_the_default_is_one(operation: str) -> None:
    with Communicator(NotingGroup(0, 2), None) as communicator:
        for limits, expected_s in (({}, DEFAULT_TIMEOUT_S), ({"timeout_s": 500.0}, 500.0)):
            began = time.monotonic()
            with pytest.raises(Asked) as caught:
                OPERATIONS[operation](communicator, **limits)
            assert began + expected_s <= caught.value.args[0] <= time.monotonic() + expected_s
        with pytest.raises(Asked) as caught:
            OPERATIONS[operation](communicator, deadline=12.5)
        assert caught.value.args == (12.5,)


def test_a_peer_is_waited_for_until_it_is_announced(lonely: Communicator) -> None:
    roster = lonely._group.roster
    with ThreadPoolExecutor(1) as pool:
        known = pool.submit(lonely.wait_for_peer, 1, timeout_s=PATIENCE_S)
        began = time.monotonic()
        roster.joined(Member(1, 0), began)
        assert known.result() is True
    assert time.monotonic() - began < PATIENCE_S / 2
    assert lonely.wait_for_peer(1, timeout_s=0.0)  # as it is there already


def test_a_rendezvous_that_fails_ends_the_wait_for_a_peer(lonely: Communicator) -> None:
    with ThreadPoolExecutor(1) as pool:
        known = pool.submit(lonely.wait_for_peer, 1, timeout_s=PATIENCE_S)
        began = time.monotonic()
        lonely._group.roster.fail(RendezvousUnreachable("the server has shut down"))
        assert known.result() is False
    assert time.monotonic() - began < PATIENCE_S / 2
    assert isinstance(lonely.failure, RendezvousUnreachable)


def test_other_news_do_not_end_the_wait_for_a_peer() -> None:
    group = LocalGroup(3, absent=[1, 2])
    try:
        group.ranks[0].roster.joined(Member(2, 0), time.monotonic())
        assert not Communicator(group.ranks[0], None).wait_for_peer(1, timeout_s=0.01)
    finally:
        group.close()


def test_ranks_are_checked(lonely: Communicator) -> None:
    with pytest.raises(ValueError, match="rank 2 in a world of 2"):
        lonely.wait_for_peer(2)
    with pytest.raises(ValueError, match="no channel to itself"):
        lonely.wait_for_peer(0)


@pytest.mark.parametrize("operation", [operation for operation in OPERATIONS if operation != "join"])
def test_nothing_works_once_it_is_closed(lonely: Communicator, operation: str) -> None:
    lonely.close()
    with pytest.raises(ValueError, match="closed"):
        OPERATIONS[operation](lonely, timeout_s=0.0)
