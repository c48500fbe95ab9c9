import pytest

from lambda_image.comm.channel.handshake import Member
from lambda_image.comm.peer_facts import PeerFacts
from lambda_image.comm.roster import PeerState
from tests.unit.lambda_image.comm.local_group import MakePair, finish, put

PEER = Member(1, 2)


def test_a_peer_without_a_channel_has_sent_nothing() -> None:
    assert PeerFacts.of(PeerState(PEER, 0.0)) == PeerFacts(1, 2, None, None, 0, 0, None)


@pytest.mark.parametrize("why", ["gone", "unreachable"])
def test_why_a_peer_cannot_be_used_is_told(why: str) -> None:
    assert PeerFacts.of(PeerState(PEER, 0.0, **{why: "left the group"})).lost == "left the group"


def test_the_rendezvous_knows_better_why_than_the_channel(make_pair: MakePair) -> None:
    channel = make_pair().lower
    channel.end("connection reset")
    assert PeerFacts.of(PeerState(Member(1, 0), 0.0, channel)).lost == "connection reset"
    assert PeerFacts.of(PeerState(Member(1, 0), 0.0, channel, gone="left the group")).lost == "left the group"


def test_bytes_count_with_their_frames(make_pair: MakePair) -> None:
    pair = make_pair()
    put(pair.higher, b"ten bytes.")
    finish(pair.higher)
    pair.lower.pump_in()
    facts = PeerFacts.of(PeerState(Member(1, 0), 0.0, pair.lower))
    assert (facts.rank, facts.attempt, facts.transport, facts.lost) == (1, 0, "direct", None)
    assert facts.bytes_received > len(b"ten bytes.")
    assert facts.bytes_received == PeerFacts.of(PeerState(Member(0, 0), 0.0, pair.higher)).bytes_sent
    assert facts.connect_s == pair.lower.connect_s
