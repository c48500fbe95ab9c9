"""Relays: bytes between ranks that cannot reach each other, through the server's process."""

import hashlib
import random
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from rendezvous_server import protocol as p
from rendezvous_server.protocol import Join, RejectCode, Relay
from rendezvous_server.splicing import LARGE_BUFFER_BYTES
from tests.integration.rendezvous import (
    DEADLINE_S,
    KEY,
    Rank,
    RelayedRank,
    Server,
    Start,
    close,
    join_all,
    linger_reset,
    until,
)


@pytest.fixture
def group(server: Server) -> Iterator[list[Rank]]:
    ranks = join_all(server, 3)
    yield ranks
    close(ranks)


def relay_to(peer: int, rank: int) -> Relay:
    return Relay("run-1", rank, 0, peer, 0)


Sockets = tuple[socket.socket, socket.socket]


def spliced(server: Server, one: int = 0, other: int = 1, key: str | None = None) -> Sockets:
    """Two sockets with the server between them."""
    ends = RelayedRank(server, relay_to(other, one), key), RelayedRank(server, relay_to(one, other), key)
    for end in ends:
        assert end.hear(p.Spliced) == p.Spliced(b"")
    return ends[0].sock, ends[1].sock


class Sender(threading.Thread):
    """Sends so many bytes in pieces of all sizes, then ends its side, unless it `stays`."""

    def __init__(self, sock: socket.socket, size: int, seed: int, *, stays: bool = False) -> None:
        super().__init__(daemon=True)
        self._sock = sock
        self._stays = stays
        self._random = random.Random(seed)
        self._left = size
        self.digest = hashlib.sha256()
        self.sent = 0
        self.start()

    def run(self) -> None:
        with suppress(OSError):  # the test has ended before
            while self._left:
                piece = self._random.randbytes(min(self._left, self._random.choice([1, 1_000, 70_000, 3_000_000])))
                self.digest.update(piece)
                self._left -= len(piece)
                view = memoryview(piece)
                while view:
                    sent = self._sock.send(view)
                    self.sent += sent
                    view = view[sent:]
            if not self._stays:
                self._sock.shutdown(socket.SHUT_WR)


def digest_until_eof(sock: socket.socket) -> tuple[int, bytes]:
    digest, size = hashlib.sha256(), 0
    while data := sock.recv(1 << 20):
        digest.update(data)
        size += len(data)
    return size, digest.digest()


def stalled(*senders: Sender) -> bool:
    """Whether none of them gets on any more."""
    before = [sender.sent for sender in senders]
    time.sleep(0.3)
    return [sender.sent for sender in senders] == before


def test_bytes_arrive_both_ways_at_once_and_each_side_ends_by_itself(server: Server, group: list[Rank]) -> None:
    one, other = spliced(server)
    there, back = Sender(one, 30_000_000, 1), Sender(other, 20_000_000, 2)
    received: dict[str, tuple[int, bytes]] = {}
    reader = threading.Thread(target=lambda: received.update(there=digest_until_eof(other)))
    reader.start()
    received["back"] = digest_until_eof(one)
    reader.join(DEADLINE_S)
    assert received == {"there": (30_000_000, there.digest.digest()), "back": (20_000_000, back.digest.digest())}
    one.close()
    other.close()
    until(lambda: server.outcomes() == ["relayed"] * 2, "both are gone")
    assert sorted(line["bytes"] for line in server.connections()) == [20_000_000, 30_000_000]
    assert server.metrics()["rendezvous_relayed_bytes_total"] == 50_000_000


def test_one_side_may_end_long_before_the_other(server: Server, group: list[Rank]) -> None:
    one, other = spliced(server)
    one.sendall(b"that is all")
    one.shutdown(socket.SHUT_WR)
    assert other.recv(100) == b"that is all"
    assert other.recv(100) == b""
    for _ in range(3):
        other.sendall(b"but not for me")
        assert one.recv(100) == b"but not for me"
    other.close()
    assert one.recv(100) == b""
    one.close()


def test_what_was_sent_before_a_reset_still_arrives(server: Server, group: list[Rank]) -> None:
    one, other = spliced(server)
    sender = Sender(one, 3_000_000, 3, stays=True)
    sender.join(DEADLINE_S)
    until(lambda: server.metrics()["rendezvous_relayed_bytes_total"] == 3_000_000, "the server has read all of it")
    linger_reset(one)
    assert digest_until_eof(other) == (3_000_000, sender.digest.digest())
    other.close()
    until(lambda: server.outcomes() == ["lost"] * 2, "both are gone")


def test_when_one_end_dies_the_other_is_ended(server: Server, group: list[Rank]) -> None:
    one, other = spliced(server)
    linger_reset(one)
    assert other.recv(1) == b""
    other.close()
    until(lambda: server.outcomes() == ["lost"] * 2, "both are gone")


def test_slow_readers_cost_a_bounded_memory_and_nobody_else_waits(server: Server) -> None:
    world = 13
    ranks = join_all(server, world)
    warm, reader = spliced(server, 0, 12)
    Sender(warm, 50_000_000, 0)
    digest_until_eof(reader)
    before = server.resident_bytes()
    pairs = [spliced(server, 0, peer) for peer in range(1, world - 1)]
    size = 100_000_000  # to each of them: far more than all socket buffers on the way hold
    senders = [Sender(one, size, seed) for seed, (one, _) in enumerate(pairs)]
    until(lambda: stalled(*senders), "everything that can hold bytes is full")
    grown = server.resident_bytes() - before
    assert grown < len(pairs) * LARGE_BUFFER_BYTES + 8 * 2**20
    one, other = spliced(server, 0, 12)
    sender = Sender(one, 10_000_000, 99)
    assert digest_until_eof(other) == (10_000_000, sender.digest.digest())
    assert digest_until_eof(pairs[0][1]) == (size, senders[0].digest.digest())
    for sock in (warm, reader, one, other, *(sock for pair in pairs for sock in pair)):
        sock.close()
    close(ranks)


def test_only_members_are_relayed(server: Server, group: list[Rank]) -> None:
    for relay in (Relay("run-2", 0, 0, 1, 0), Relay("run-1", 0, 1, 1, 0), Relay("run-1", 3, 0, 0, 0)):
        stranger = RelayedRank(server, relay)
        assert stranger.hear(p.Rejected).code is RejectCode.UNKNOWN
        stranger.assert_closed_by_the_server()
        stranger.sock.close()


def test_the_key_decides_who_is_relayed(start: Start) -> None:
    server = start(RENDEZVOUS_KEY=KEY)
    ranks = [Rank(server, Join("run-1", rank, 2), KEY) for rank in range(2)]
    for rank in ranks:
        rank.hear(p.GroupComplete)
    for key in (None, "another key"):
        stranger = RelayedRank(server, relay_to(1, 0), key)
        assert stranger.hear(p.Rejected).code is RejectCode.BAD_PROOF
        stranger.sock.close()
    one, other = spliced(server, key=KEY)
    one.sendall(b"hello")
    assert other.recv(10) == b"hello"
    close(ranks)
    assert KEY not in str(server.lines())


def test_a_dead_end_that_waits_is_handed_to_nobody(server: Server, group: list[Rank]) -> None:
    for end in (socket.socket.close, linger_reset):
        end(RelayedRank(server, relay_to(1, 0)).sock)
    waiting = RelayedRank(server, relay_to(0, 1))
    partner = RelayedRank(server, relay_to(1, 0))
    for client in (waiting, partner):
        client.hear(p.Spliced)
    close([waiting, partner])


def test_the_newer_of_one_ranks_wishes_counts(server: Server, group: list[Rank]) -> None:
    older, newer = RelayedRank(server, relay_to(1, 0)), RelayedRank(server, relay_to(1, 0))
    older.hear(p.Replaced)
    older.assert_closed_by_the_server()
    partner = RelayedRank(server, relay_to(0, 1))
    partner.hear(p.Spliced)
    newer.hear(p.Spliced)
    close([older, newer, partner])


def test_a_partner_that_does_not_come(start: Start) -> None:
    server = start("--relay-timeout-s", "0.3")
    ranks = join_all(server, 2)
    waiting = RelayedRank(server, relay_to(1, 0))
    assert waiting.hear(p.Expired) == p.Expired((1,), "rank 1 did not connect for this relay within 0.3 s")
    waiting.assert_closed_by_the_server()
    close([waiting])
    close(ranks)


def test_who_speaks_too_early_is_refused(server: Server, group: list[Rank]) -> None:
    eager = RelayedRank(server, relay_to(1, 0))
    eager.sock.sendall(b"payload")
    assert "before it was spliced" in eager.hear(p.Rejected).reason
    eager.sock.close()


def test_a_relay_ends_with_its_bytes(start: Start) -> None:
    server = start("--relay-max-bytes", "1000000", "--max-relays", "2")
    ranks = join_all(server, 3)
    one, other = spliced(server)
    silent = spliced(server, 0, 2)
    refused = RelayedRank(server, relay_to(2, 1))
    assert refused.hear(p.Rejected).code is RejectCode.LIMIT
    close([refused])
    sender = Sender(one, 5_000_000, 4)
    with suppress(ConnectionResetError):
        assert digest_until_eof(other)[0] < 5_000_000
    for sock in silent:
        sock.close()
    until(lambda: sorted(server.outcomes()) == ["limited"] * 2 + ["rejected"] + ["relayed"] * 2, "all are gone")
    sender.join(DEADLINE_S)
    metrics = server.metrics()
    assert metrics["rendezvous_limits_hit_total relay_bytes"] == 1
    assert metrics["rendezvous_limits_hit_total relays"] == 1
    close(ranks)


def test_a_relay_ends_with_its_patience(start: Start) -> None:
    server = start("--relay-idle-timeout-s", "0.5")
    ranks = join_all(server, 2)
    for sock in spliced(server):
        assert sock.recv(1) == b""
    until(lambda: server.outcomes() == ["timeout"] * 2, "both are gone")
    close(ranks)


def test_shutdown_waits_for_a_relay_to_end(server: Server, group: list[Rank]) -> None:
    one, other = spliced(server)
    server.process.send_signal(signal.SIGTERM)
    for rank in group:
        rank.hear(p.ServerClosing)
    close(group)
    sender = Sender(one, 20_000_000, 5)
    assert digest_until_eof(other) == (20_000_000, sender.digest.digest())
    other.close()
    assert server.process.wait(DEADLINE_S) == 0
    assert sorted(server.outcomes()) == ["relayed"] * 2 + ["shutdown"] * 3


def test_shutdown_does_not_wait_for_ever(start: Start) -> None:
    server = start("--shutdown-grace-s", "0.3")
    ranks = join_all(server, 2)
    for sock in (socks := spliced(server)):
        sock.sendall(b"x")
    server.process.send_signal(signal.SIGTERM)
    close(ranks)
    assert server.process.wait(DEADLINE_S) == 0
    assert server.outcomes().count("shutdown") >= 2
    for sock in socks:
        sock.close()
