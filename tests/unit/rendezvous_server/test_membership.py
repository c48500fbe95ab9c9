"""What members are told, checked at the receiving end: by the client side of the protocol."""

import pytest

from rendezvous_server import protocol as p
from rendezvous_server.membership import RANGES_IN_A_REASON, Group, GroupMember, describe_ranks
from rendezvous_server.protocol import ClientConnection, Endpoint, Join, RejectCode, Topology

NONCE = bytes(p.NONCE_SIZE)


def observed(rank: int) -> Endpoint:
    return Endpoint("203.0.113.1", 50_000 + rank)


class Ranks:
    """A group and its ranks; connections are names."""

    def __init__(self, world_size: int, topology: Topology = Topology.FULL) -> None:
        self.group: Group[str] = Group("run-1", world_size, 0.0)
        self.topology = topology
        self.clients: dict[str, ClientConnection] = {}
        self.members: dict[str, GroupMember[str]] = {}
        self.heard: dict[str, list[p.ClientEvent]] = {}
        self.bytes_sent: dict[str, int] = {}

    def join(self, rank: int, attempt: int = 0) -> str:
        join = Join("run-1", rank, self.group.world_size, attempt, topology=self.topology)
        name = f"{rank}.{attempt}" if f"{rank}.{attempt}" not in self.clients else f"{rank}.{attempt} again"
        assert self.group.objection(join) is None
        self.members[name], _ = self.group.add(name, join, observed(rank), 0.0)
        client = self.clients[name] = ClientConnection(join)
        end = p.ServerConnection(None, lambda: NONCE, observed(rank))
        list(end.receive_data(client.data_to_send()))
        list(client.receive_data(end.data_to_send()))
        list(client.receive_data(p.encode_joined(observed(rank), 1, 1)))
        self.heard[name], self.bytes_sent[name] = [], 0
        return name

    def leave(self, name: str) -> None:
        self.group.remove(self.members[name])

    def announce(self) -> dict[str, list[p.ClientEvent]]:
        """What each connection hears in this announcement."""
        told: dict[str, list[p.ClientEvent]] = {}
        for send in self.group.announce():
            for name in send.to:
                assert name not in told, "one write per connection"
                told[name] = list(self.clients[name].receive_data(send.data))
                self.bytes_sent[name] += len(send.data)
        return told

    def peer(self, rank: int, attempt: int = 0) -> p.Peer:
        return p.Peer(rank, attempt, observed(rank))


def test_news_as_they_come() -> None:
    ranks = Ranks(3)
    ranks.join(1)
    assert ranks.announce() == {}  # a rank alone has nobody to be told of
    ranks.join(2)
    assert ranks.announce() == {"1.0": [p.PeerJoined(ranks.peer(2))], "2.0": [p.PeerJoined(ranks.peer(1))]}
    assert ranks.announce() == {}
    ranks.join(0)
    everybody = ranks.announce()
    assert everybody["1.0"] == [p.PeerJoined(ranks.peer(0)), p.GroupComplete()]
    assert set(everybody["0.0"]) == {p.PeerJoined(ranks.peer(1)), p.PeerJoined(ranks.peer(2)), p.GroupComplete()}
    ranks.leave("1.0")
    assert ranks.announce() == {"0.0": [p.PeerLeft(ranks.peer(1))], "2.0": [p.PeerLeft(ranks.peer(1))]}


def test_a_world_of_one_is_complete_at_once() -> None:
    ranks = Ranks(1)
    ranks.join(0)
    assert ranks.announce() == {"0.0": [p.GroupComplete()]}


def test_a_newer_attempt_replaces_an_older_one() -> None:
    ranks = Ranks(2)
    ranks.join(0)
    ranks.join(1)
    ranks.announce()
    ranks.join(1, attempt=2)
    assert ranks.announce() == {
        "0.0": [p.PeerReplaced(ranks.peer(1), ranks.peer(1, 2))],
        "1.2": [p.PeerJoined(ranks.peer(0)), p.GroupComplete()],
    }


def test_what_came_and_went_between_two_announcements_is_not_told() -> None:
    ranks = Ranks(3)
    ranks.join(0)
    ranks.announce()
    ranks.leave(ranks.join(1))
    assert ranks.announce() == {}


def test_a_rank_that_left_and_came_back_between_two_announcements() -> None:
    ranks = Ranks(2)
    ranks.join(0)
    ranks.join(1)
    ranks.announce()
    ranks.leave("1.0")
    ranks.join(1)
    assert ranks.announce() == {
        "0.0": [],  # the same row again: nothing has changed
        "1.0 again": [p.PeerJoined(ranks.peer(0)), p.GroupComplete()],
    }
    assert ranks.clients["0.0"].peers == {1: ranks.peer(1)}


def test_a_rank_replaced_and_gone_between_two_announcements_has_left() -> None:
    ranks = Ranks(2)
    ranks.join(0)
    ranks.join(1)
    ranks.announce()
    ranks.leave(ranks.join(1, attempt=1))
    assert ranks.announce() == {"0.0": [p.PeerLeft(ranks.peer(1))]}


def test_a_star_is_told_of_the_root_only() -> None:
    ranks = Ranks(4, Topology.STAR)
    ranks.join(1)
    ranks.join(2)
    assert ranks.announce() == {}
    ranks.join(0)
    told = ranks.announce()
    assert told["1.0"] == told["2.0"] == [p.PeerJoined(ranks.peer(0))]
    assert set(told["0.0"]) == {p.PeerJoined(ranks.peer(1)), p.PeerJoined(ranks.peer(2))}
    ranks.join(3)
    told = ranks.announce()
    assert told["3.0"] == [p.PeerJoined(ranks.peer(0)), p.GroupComplete()]
    assert told["0.0"] == [p.PeerJoined(ranks.peer(3)), p.GroupComplete()]
    assert told["1.0"] == told["2.0"] == [p.GroupComplete()]
    ranks.leave("1.0")
    assert ranks.announce() == {"0.0": [p.PeerLeft(ranks.peer(1))]}
    ranks.leave("0.0")
    assert ranks.announce() == {"2.0": [p.PeerLeft(ranks.peer(0))], "3.0": [p.PeerLeft(ranks.peer(0))]}


def test_what_a_star_member_is_sent_does_not_grow_with_the_world() -> None:
    sent = []
    for world in (10, 1_000):
        ranks = Ranks(world, Topology.STAR)
        for rank in reversed(range(world)):
            ranks.join(rank)
        ranks.announce()
        sent.append(ranks.bytes_sent["5.0"])
    assert sent[0] == sent[1]


def test_everything_is_the_same_bytes_for_everybody() -> None:
    ranks = Ranks(100)
    for rank in range(50):
        ranks.join(rank)
    assert len(ranks.group.announce()) == 1  # the table
    for rank in range(50, 100):
        ranks.join(rank)
    assert sorted(len(send.to) for send in ranks.group.announce()) == [50, 50]  # what changed, and the table


@pytest.mark.parametrize(
    ("rank", "world", "attempt", "code"),
    [
        (0, 4, 0, None),
        (0, 5, 0, RejectCode.WORLD_SIZE),
        (1, 4, 3, None),
        (1, 4, 2, RejectCode.DUPLICATE_RANK),
        (1, 4, 1, RejectCode.DUPLICATE_RANK),
        (2, 4, 2, None),
        (2, 4, 1, RejectCode.STALE_ATTEMPT),
    ],
)
def test_who_cannot_join(rank: int, world: int, attempt: int, code: RejectCode | None) -> None:
    """Rank 1 is connected as attempt 2; rank 2 was here as attempt 2."""
    ranks = Ranks(4)
    ranks.join(1, attempt=2)
    ranks.leave(ranks.join(2, attempt=2))
    objection = ranks.group.objection(Join("run-1", rank, world, attempt))
    assert (objection and objection[0]) == code
    if objection:
        assert f"rank {rank}" in objection[1]


def test_missing_ranks() -> None:
    ranks = Ranks(4)
    ranks.join(2)
    assert ranks.group.missing() == [0, 1, 3]


@pytest.mark.parametrize(
    ("ranks", "words"),
    [
        ([3], "rank 3"),
        ([3, 4], "ranks 3 to 4"),
        ([0, 3, 4, 5, 9], "ranks 0, 3 to 5 and 9"),
        (list(range(0, 60, 2)), f"ranks {', '.join(str(n) for n in range(0, 2 * RANGES_IN_A_REASON, 2))} and 10 more"),
    ],
)
def test_ranks_in_words(ranks: list[int], words: str) -> None:
    assert describe_ranks(ranks) == words
