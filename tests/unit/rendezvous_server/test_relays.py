"""Stories of relays, and any sequence of wishes and ends against a simple truth."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rendezvous_server import protocol as p
from rendezvous_server.effects import Outcome
from rendezvous_server.limits import Limit, Limits
from rendezvous_server.protocol import RejectCode, Relay
from tests.unit.rendezvous_server.registry_story import Server


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def group(server: Server) -> list[int]:
    return [server.join(rank) for rank in range(3)]


def test_two_members_are_spliced(server: Server, group: list[int]) -> None:
    one, other, third = server.relay(1, 2), server.relay(1, 0), server.relay(0, 2)
    assert server.spliced == {}
    assert server.registry.phases()["relaying"] == 3
    server.pass_time(1)
    partner = server.relay(2, 1)
    assert server.spliced == {one: partner, partner: one}
    assert server.relay(0, 1) == server.spliced[other]
    assert third not in server.spliced
    assert sum(server.registry.counts.relay_s.counts) == 2
    assert server.registry.phases()["spliced"] == 4
    server.perform(server.registry.relay_ended(one, server.now))
    assert server.outcomes == {one: Outcome.RELAYED, partner: Outcome.RELAYED}
    server.perform(server.registry.relay_ended(partner, server.now))  # too late to matter
    server.end_all()


def test_a_relay_can_be_made_again(server: Server, group: list[int]) -> None:
    first = server.relay(0, 1), server.relay(1, 0)
    second = server.relay(1, 0), server.relay(0, 1)
    assert server.spliced[first[0]] == first[1]
    assert server.spliced[second[0]] == second[1]
    server.end_all()


def test_the_newer_of_one_ranks_wishes_counts(server: Server, group: list[int]) -> None:
    older, newer = server.relay(0, 1), server.relay(0, 1)
    assert server.outcomes == {older: Outcome.REPLACED}
    assert isinstance(server.events[older][-1], p.Replaced)
    partner = server.relay(1, 0)
    assert server.spliced[partner] == newer
    server.end_all()


@pytest.mark.parametrize(
    ("rank", "peer", "attempt", "peer_attempt", "run_id"),
    [(0, 1, 0, 0, "another"), (0, 3, 0, 0, "run"), (3, 0, 0, 0, "run"), (0, 1, 1, 0, "run"), (0, 1, 0, 1, "run")],
)
def test_only_members_may_relay(
    server: Server, group: list[int], rank: int, peer: int, attempt: int, peer_attempt: int, run_id: str
) -> None:
    stranger = server.relay(rank, peer, attempt, peer_attempt, run_id)
    assert server.rejections[stranger][0] is RejectCode.UNKNOWN
    assert server.outcomes == {stranger: Outcome.REJECTED}


def test_who_has_left_is_relayed_to_no_more(server: Server, group: list[int]) -> None:
    waiting = server.relay(0, 1)
    server.disconnect(group[1])
    assert server.rejections[server.relay(1, 0)][0] is RejectCode.UNKNOWN
    server.pass_time(6)
    assert server.outcomes[waiting] is Outcome.EXPIRED
    assert server.events[waiting] == [p.Expired((1,), "rank 1 did not connect for this relay within 6 s")]
    server.end_all()


def test_a_relay_outlives_its_members_lines(server: Server, group: list[int]) -> None:
    one, other = server.relay(0, 1), server.relay(1, 0)
    for member in group:
        server.disconnect(member)
    server.carry(one, 10)
    assert not {one, other} & set(server.outcomes)
    server.end_all()


def test_too_many_relays() -> None:
    server = Server(Limits(max_relays=2))
    for rank in range(4):
        server.join(rank, 4)
    server.relay(0, 1)
    server.relay(1, 0)
    server.relay(0, 2)
    refused = server.relay(0, 3)
    assert server.rejections[refused] == (RejectCode.LIMIT, "the server is full: 2 relays")
    assert server.registry.counts.limits[Limit.RELAYS] == 1
    completing = server.relay(2, 0)
    assert completing in server.spliced
    server.end_all()


def test_relays_count_as_joins() -> None:
    server = Server(Limits(join_burst=3, join_rate=1))
    server.join(0)
    server.join(1)
    server.relay(0, 1)
    assert server.rejections[server.relay(1, 0)][0] is RejectCode.LIMIT


def test_too_many_bytes(server: Server, group: list[int]) -> None:
    one, other = server.relay(0, 1), server.relay(1, 0)
    server.carry(one, 600)
    server.carry(other, 400)
    assert server.outcomes == {}
    server.carry(other, 1)
    assert server.outcomes == {one: Outcome.LIMITED, other: Outcome.LIMITED}
    assert server.aborted == {one, other}
    assert server.registry.counts.relayed_bytes == 1_001
    assert server.registry.counts.limits[Limit.RELAY_BYTES] == 1
    server.end_all()


def test_a_relay_may_be_idle_for_so_long(server: Server, group: list[int]) -> None:
    busy, _ = server.relay(0, 1), server.relay(1, 0)
    idle, other = server.relay(0, 2), server.relay(2, 0)
    for _ in range(4):
        server.pass_time(3)
        server.carry(busy, 1)
        for member in group:
            server.registry.heard(member, server.now)
    assert server.outcomes == {idle: Outcome.TIMEOUT, other: Outcome.TIMEOUT}
    assert server.aborted == {idle, other}
    server.end_all()


def test_when_one_end_drops_the_other_is_ended(server: Server, group: list[int]) -> None:
    one, other = server.relay(0, 1), server.relay(1, 0)
    assert server.disconnect(one) is Outcome.LOST
    assert server.outcomes == {}
    server.pass_time()
    assert server.outcomes == {other: Outcome.LOST}
    assert server.aborted == set()  # so that what is on its way to it arrives
    server.end_all()


def test_both_ends_drop_at_once(server: Server, group: list[int]) -> None:
    one, other = server.relay(0, 1), server.relay(1, 0)
    assert server.disconnect(one) is server.disconnect(other) is Outcome.LOST
    server.end_all()


def test_a_waiting_end_that_closes(server: Server, group: list[int]) -> None:
    waiting = server.relay(0, 1)
    relay = Relay("run", 1, 0, 0, 0)
    assert server.registry.partner(relay) == waiting
    assert server.disconnect(waiting) is Outcome.ABANDONED
    assert server.registry.partner(relay) is None
    server.end_all()


def test_shutdown_lets_relays_end(server: Server, group: list[int]) -> None:
    waiting, one, other = server.relay(0, 2), server.relay(0, 1), server.relay(1, 0)
    late = server.connect()
    server.perform(server.registry.drain(server.now))
    assert server.registry.draining
    assert server.outcomes == dict.fromkeys([*group, waiting], Outcome.SHUTDOWN)
    server.wish(late, Relay("run", 2, 0, 0, 0))
    assert isinstance(server.events[late][-1], p.ServerClosing)
    server.pass_time(2.9)
    server.carry(one, 1)
    assert one not in server.outcomes
    server.pass_time(0.1)
    assert server.outcomes[one] is server.outcomes[other] is Outcome.SHUTDOWN
    assert {one, other} <= server.aborted
    server.end_all()


# Any sequence

RANKS = 4
wishes = st.tuples(st.integers(0, RANKS - 1), st.integers(0, RANKS - 1)).filter(lambda pair: pair[0] != pair[1])


@given(st.lists(st.one_of(wishes, st.integers(0, 30)), max_size=30))
def test_a_wish_meets_the_one_that_waits_for_it_and_nobody_else(steps: list[tuple[int, int] | int]) -> None:
    """A step is a wish (rank, peer), or a client that goes (by its place among those that are there)."""
    server = Server(Limits(max_relays=100))
    for rank in range(RANKS):
        server.join(rank, RANKS)
    waiting: dict[tuple[int, int], int] = {}  # who waits, by (rank, peer)
    clients: list[int] = []
    for step in steps:
        if isinstance(step, int):
            if clients:
                gone = clients.pop(step % len(clients))
                server.disconnect(gone)
                waiting = {wish: client for wish, client in waiting.items() if client != gone}
            continue
        rank, peer = step
        client = server.relay(rank, peer)
        clients.append(client)
        partner = waiting.pop((peer, rank), None)
        if partner is None:
            waiting[step] = client  # and whoever waited there is replaced
        assert server.spliced.get(client) == partner
        assert set(server.registry._relays.waiters.connections) == set(waiting.values())
    server.end_all()
