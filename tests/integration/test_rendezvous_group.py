"""The group dialect, as processes and sockets speak it."""

import json
import socket
import struct
from contextlib import closing

import pytest

from rendezvous_server import protocol as p
from rendezvous_server.protocol import Endpoint, Join, RejectCode, Topology
from tests.integration.rendezvous import KEY, Rank, Server, Start, close, join_all, linger_reset, until


def test_eight_ranks_find_each_other(server: Server) -> None:
    local = (Endpoint("10.0.0.1", 7), Endpoint("2001:db8::1", 7))
    ranks = [Rank(server, Join("run-1", rank, 8, local=local)) for rank in range(8)]
    for rank in ranks:
        joined = rank.hear(p.Joined)
        assert joined == p.Joined(rank.endpoint, joined.expires_in_s, 10)
        rank.hear(p.GroupComplete)
    for number, rank in enumerate(ranks):
        assert rank.connection.peers == {
            other: p.Peer(other, 0, ranks[other].endpoint, local) for other in range(8) if other != number
        }
    for rank in ranks:
        rank.leave()
    until(lambda: server.outcomes() == ["left"] * 8, "all have left")


def test_a_rank_that_dies_is_reported_and_replaced(server: Server) -> None:
    ranks = join_all(server, 3)
    linger_reset(ranks[2].sock)
    for rank in ranks[:2]:
        assert rank.hear(p.PeerLeft).peer.rank == 2
    newer = Rank(server, Join("run-1", 2, 3, attempt=1))
    newer.hear(p.GroupComplete)
    for rank in ranks[:2]:
        assert rank.hear(p.PeerJoined, count=3).peer == p.Peer(2, 1, newer.endpoint)
    close([*ranks, newer])


def test_a_newer_attempt_takes_the_place_of_one_that_hangs(server: Server) -> None:
    ranks = join_all(server, 2)
    newer = Rank(server, Join("run-1", 1, 2, attempt=1))
    newer.hear(p.Joined)
    assert ranks[1].hear(p.Replaced) == p.Replaced(1, "attempt 1 of rank 1 has joined")
    ranks[1].assert_closed_by_the_server()
    assert ranks[0].hear(p.PeerReplaced).peer == p.Peer(1, 1, newer.endpoint)
    close([*ranks, newer])


def test_joins_that_cannot_be_are_refused_with_a_reason(server: Server) -> None:
    first = Rank(server, Join("run-1", 0, 4, attempt=1))
    first.hear(p.Joined)
    for join, code, said in (
        (Join("run-1", 1, 5), RejectCode.WORLD_SIZE, "world size 5"),
        (Join("run-1", 0, 4, attempt=1), RejectCode.DUPLICATE_RANK, "attempt 1 is connected"),
    ):
        refused = Rank(server, join)
        rejected = refused.hear(p.Rejected)
        assert rejected.code is code
        assert said in rejected.reason
        refused.assert_closed_by_the_server()
        refused.sock.close()
    first.leave()
    until(lambda: sorted(server.outcomes()) == ["left", "rejected", "rejected"], "all are gone")


def test_the_key_decides_who_joins(start: Start) -> None:
    server = start(RENDEZVOUS_KEY=KEY)
    assert server.lines()[0]["authenticated"] is True
    member = Rank(server, Join("run-1", 0, 2), KEY)
    member.hear(p.Joined)
    for key in ("another key", None):
        refused = Rank(server, Join("run-1", 1, 2), key)
        assert refused.hear(p.Rejected).code is RejectCode.BAD_PROOF
        refused.assert_closed_by_the_server()
        refused.sock.close()
    Rank(server, Join("run-1", 1, 2), KEY).hear(p.GroupComplete)
    member.sock.close()
    until(lambda: len(server.outcomes()) >= 3, "the refused and the member are gone")
    assert KEY not in json.dumps(server.lines())


def test_a_group_that_stays_incomplete_expires_by_name(start: Start) -> None:
    server = start("--group-timeout-s", "2")  # in which both come
    ranks = [Rank(server, Join("run-1", rank, 6)) for rank in (1, 4)]
    for rank in ranks:
        expired = rank.hear(p.Expired)
        assert expired.missing == (0, 2, 3, 5)
        assert "ranks 0, 2 to 3 and 5 of 6" in expired.reason
        rank.assert_closed_by_the_server()
    close(ranks)
    until(lambda: server.outcomes() == ["expired"] * 2, "both are gone")


def test_a_star_is_told_what_it_needs(server: Server) -> None:
    ranks = join_all(server, 6, topology=Topology.STAR)
    assert set(ranks[0].connection.peers) == {1, 2, 3, 4, 5}
    assert [set(rank.connection.peers) for rank in ranks[1:]] == [{0}] * 5
    close(ranks)


def test_a_member_that_answers_no_ping_is_given_up(start: Start) -> None:
    server = start("--ping-interval-s", "0.2", "--ping-timeout-s", "4")  # more than a busy machine stands still
    ranks = join_all(server, 2)
    assert ranks[0].hear(p.PeerLeft).peer.rank == 1  # reads on and so answers, while the other does not
    assert ranks[1].hear(p.Rejected).code is RejectCode.TIMEOUT
    close(ranks)


def test_ipv6(start: Start) -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("no IPv6 here")
    server = start("--host", "::")
    server.host = "::1"
    six = Rank(server, Join("run-1", 0, 2))
    server.host = "127.0.0.1"
    four = Rank(server, Join("run-1", 1, 2))
    four.hear(p.GroupComplete)
    assert four.connection.peers[0].observed == Endpoint("::1", six.endpoint.port)
    six.hear(p.GroupComplete)
    assert six.connection.peers[1].observed == four.endpoint
    close([six, four])


def test_a_flood_of_pings_is_not_answered(server: Server) -> None:
    rank = Rank(server, Join("run-1", 0, 2))
    rank.hear(p.Joined)
    ping = struct.pack("!BH", 0x20, p.MAX_TOKEN) + bytes(p.MAX_TOKEN)
    with closing(rank.sock), pytest.raises(OSError):  # noqa: PT012 - the send that meets the reset
        while True:
            rank.sock.sendall(ping * 10_000)
    until(lambda: server.outcomes() == ["malformed"], "the server has dropped it")
