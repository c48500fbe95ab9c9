"""Stories of groups."""

import pytest

from rendezvous_server import protocol as p
from rendezvous_server.effects import Outcome
from rendezvous_server.groups import QUIET_PER_WRITE_S
from rendezvous_server.limits import Limit, Limits
from rendezvous_server.protocol import RejectCode, Topology
from tests.unit.rendezvous_server.registry_story import Server, endpoint


@pytest.fixture
def server() -> Server:
    return Server()


def test_a_group_meets(server: Server) -> None:
    ranks = [server.join(rank) for rank in range(3)]
    server.pass_time()
    for rank, connection in enumerate(ranks):
        assert set(server.peers(connection)) == {0, 1, 2} - {rank}
        assert server.member(connection).complete
        assert server.peers(connection)[(rank + 1) % 3].observed == endpoint(ranks[(rank + 1) % 3])
    assert [server.expires_in[connection] for connection in ranks] == [30, 30, 0]


def test_groups_do_not_mix(server: Server) -> None:
    first, second = server.join(0, run_id="x"), server.join(1, run_id="y")
    server.pass_time()
    assert server.peers(first) == server.peers(second) == {}


def test_a_dead_member_is_reported_at_once(server: Server) -> None:
    ranks = [server.join(rank) for rank in range(3)]
    server.pass_time(1)
    assert server.disconnect(ranks[1]) is Outcome.LOST
    server.pass_time()
    assert set(server.peers(ranks[0])) == {2}
    assert isinstance(server.events[ranks[0]][-1], p.PeerLeft)


def test_leaving(server: Server) -> None:
    ranks = [server.join(rank) for rank in range(3)]
    server.pass_time(1)
    server.perform(server.registry.ended(ranks[1], Outcome.LEFT, server.now))
    server.pass_time()
    assert server.outcomes == {ranks[1]: Outcome.LEFT}
    assert set(server.peers(ranks[2])) == {0}


def test_a_newer_attempt_takes_the_place(server: Server) -> None:
    old, other = server.join(0), server.join(1)
    server.pass_time(1)
    new = server.join(0, attempt=1)
    server.pass_time()
    assert server.events[old][-1] == p.Replaced(1, "attempt 1 of rank 0 has joined")
    assert server.outcomes == {old: Outcome.REPLACED}
    assert server.peers(other)[0].attempt == 1
    assert set(server.peers(new)) == {1}
    assert server.disconnect(old) is None
    server.pass_time()
    assert set(server.peers(other)) == {0}  # the end of the old connection says nothing of the new one


@pytest.mark.parametrize(
    ("rank", "world_size", "attempt", "code"),
    [
        (1, 4, 0, RejectCode.WORLD_SIZE),
        (0, 3, 1, RejectCode.DUPLICATE_RANK),
        (0, 3, 0, RejectCode.DUPLICATE_RANK),
    ],
)
def test_refusals(server: Server, rank: int, world_size: int, attempt: int, code: RejectCode) -> None:
    server.join(0, attempt=1)
    refused = server.join(rank, world_size, attempt)
    assert server.rejections[refused][0] is code
    assert server.outcomes == {refused: Outcome.REJECTED}
    server.pass_time(1)
    assert server.aborted == {refused}


def test_groups_are_counted_by_state(server: Server) -> None:
    server.join(0, 1, run_id="x")
    server.join(0, 2, run_id="y")
    assert server.registry.groups() == {"complete": 1, "incomplete": 1}
    server.pass_time(19)
    server.end_all()
    assert server.registry.groups() == {"complete": 0, "incomplete": 0}


def test_too_many_groups() -> None:
    server = Server(Limits(max_groups=1))
    server.join(0, run_id="x")
    refused = server.join(0, run_id="y")
    assert server.rejections[refused] == (RejectCode.LIMIT, "the server is full: 1 groups")
    server.join(1, run_id="x")
    assert len(server.rejections) == 1


def test_too_many_joins() -> None:
    server = Server(Limits(join_burst=2, join_rate=1))
    server.join(0)
    server.join(1)
    refused = server.join(2)
    assert server.rejections[refused][0] is RejectCode.LIMIT
    assert "192.0.2.1" in server.rejections[refused][1]
    server.pass_time(1)
    assert server.join(2) not in server.rejections


def test_joins_without_proof_count_as_joins_and_are_not_answered_for_ever() -> None:
    server = Server(Limits(join_burst=2, join_rate=1))
    codes = []
    for _ in range(3):
        guess = server.connect()
        server.perform(server.registry.refused(guess, RejectCode.BAD_PROOF, "wrong", "192.0.2.1", server.now))
        codes.append(server.rejections[guess][0])
    assert codes == [RejectCode.BAD_PROOF, RejectCode.BAD_PROOF, RejectCode.LIMIT]
    assert server.rejections[server.join(0)][0] is RejectCode.LIMIT
    assert server.registry.counts.limits[Limit.JOINS] == 2
    server.end_all()


def test_an_incomplete_group_expires_and_names_who_is_missing(server: Server) -> None:
    ranks = [server.join(rank, 8) for rank in (0, 3)]
    server.pass_time(1)
    late = server.join(4, 8)
    assert server.expires_in[late] == 29
    for _ in range(4):
        server.pass_time(7.24)
        for connection in (*ranks, late):
            server.registry.heard(connection, server.now)
    assert server.outcomes == {}
    server.pass_time(0.1)
    for connection in (*ranks, late):
        expired = server.events[connection][-1]
        assert isinstance(expired, p.Expired)
        assert expired.missing == (1, 2, 5, 6, 7)
        assert expired.reason == "ranks 1 to 2 and 5 to 7 of 8 did not join run 'run' within 30 s"
        assert server.outcomes[connection] is Outcome.EXPIRED
        server.disconnect(connection)
    server.assert_empty()


def test_a_complete_group_lives_as_long_as_a_member(server: Server) -> None:
    ranks = [server.join(rank, 2) for rank in range(2)]
    for _ in range(20):
        server.pass_time(5)
        server.registry.heard(ranks[0], server.now)
        server.registry.heard(ranks[1], server.now)
    server.disconnect(ranks[0])
    server.pass_time(10)
    assert server.outcomes == {}
    server.disconnect(ranks[1])
    server.assert_empty()
    assert server.join(0, 5) not in server.rejections  # the name is free again, for another world too


def test_a_member_that_answers_no_ping_is_gone(server: Server) -> None:
    ranks = [server.join(rank, 2) for rank in range(2)]
    for _ in range(3):
        server.pass_time(8)
        assert server.clients[ranks[0]].data_to_send()  # the pong
        server.registry.heard(ranks[0], server.now)
    server.registry.heard(99, server.now)  # who is no member is nobody's business
    assert server.outcomes == {ranks[1]: Outcome.TIMEOUT}
    assert server.events[ranks[1]][-1] == p.Rejected(RejectCode.TIMEOUT, "no sign of life for 19 s")
    assert server.peers(ranks[0]) == {}
    server.pass_time(40)
    assert server.outcomes[ranks[0]] is Outcome.TIMEOUT
    for connection in ranks:
        server.disconnect(connection)
    server.assert_empty()


def test_announcements_to_a_large_group_are_batched(server: Server) -> None:
    """The first news goes out at once, the next waits in proportion to the members, completion never waits."""
    world = 100
    ranks = [server.join(rank, world) for rank in range(world - 2)]
    server.pass_time()
    assert len(server.peers(ranks[0])) == world - 3
    server.join(world - 2, world)
    server.pass_time()
    assert len(server.peers(ranks[0])) == world - 3
    server.pass_time(world * QUIET_PER_WRITE_S)
    assert len(server.peers(ranks[0])) == world - 2
    server.join(world - 1, world)
    server.pass_time()
    assert len(server.peers(ranks[0])) == world - 1
    assert server.member(ranks[0]).complete


def test_a_star_has_few_rows(server: Server) -> None:
    ranks = [server.join(rank, 50, topology=Topology.STAR) for rank in range(50)]
    server.pass_time()
    assert set(server.peers(ranks[7])) == {0}
    assert len(server.peers(ranks[0])) == 49
