"""The server as people run it: a process, and real sockets that speak to it."""

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from itertools import count
from pathlib import Path

import pytest

from rendezvous_server import protocol as p
from rendezvous_server.protocol import ClientConnection, Endpoint, Join, RejectCode, Topology

DEADLINE_S = 30.0  # for anything to happen on a busy machine; nothing here takes longer than its part of a second
KEY = "the deployment's key"


class Server:
    """A server process. `port` is the one that it took."""

    def __init__(self, log: Path, *flags: str, **environ: str) -> None:
        self._log = log
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("RENDEZVOUS_")}
        with log.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "rendezvous_server", "--host", "127.0.0.1", "--port", "0", *flags],
                stdout=output,
                env={**inherited, **environ},
            )
        until(lambda: self.lines() or self.process.poll() is not None, "the server says where it listens")
        listening = self.lines()[0]
        assert listening["event"] == "listening"
        self.host: str = listening["host"]
        self.port: int = listening["port"]

    def lines(self) -> list[dict]:
        complete, _, _ = self._log.read_text().rpartition("\n")
        return [json.loads(line) for line in complete.splitlines()]

    def outcomes(self) -> list[str]:
        return [line["outcome"] for line in self.lines() if line["event"] == "connection"]

    def open_files(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


def until(happened: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not happened():
        assert time.monotonic() < deadline, f"not within {DEADLINE_S} s: {what}"
        time.sleep(0.01)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    number = count()
    with ExitStack() as stack:

        def start(*flags: str, **environ: str) -> Server:
            server = Server(tmp_path / f"log {next(number)}", *flags, **environ)
            stack.callback(server.process.wait, DEADLINE_S)
            stack.callback(server.process.kill)
            return server

        yield start


@pytest.fixture
def server(start: Callable[..., Server]) -> Server:
    return start()


class Rank:
    """A rank that has sent its join; after that it reads when the test wants to hear something."""

    def __init__(self, server: Server, join: Join, key: str | None = None) -> None:
        self.sock = socket.create_connection((server.host, server.port), timeout=DEADLINE_S)
        self.connection = ClientConnection(join, p.key_from_text(key) if key else None)
        self.events: list[p.ClientEvent] = []
        while self.connection.state is p.ClientState.HELLO:
            self.sock.sendall(self.connection.data_to_send())
            self.events += self.connection.receive_data(self.sock.recv(1))
        self.sock.sendall(self.connection.data_to_send())

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint.from_sockaddr(self.sock.getsockname())

    def hear(self, kind: type, count: int = 1) -> p.ClientEvent:
        """The `count`th event of this kind."""
        while True:
            if pending := self.connection.data_to_send():
                self.sock.sendall(pending)
            heard = [event for event in self.events if isinstance(event, kind)]
            if len(heard) >= count:
                return heard[count - 1]
            data = self.sock.recv(1 << 16)
            self.events += self.connection.receive_data(data) if data else self.connection.receive_eof()
            assert data or any(isinstance(event, kind) for event in self.events), f"the end, after {self.events}"

    def leave(self) -> None:
        self.connection.leave()
        self.sock.sendall(self.connection.data_to_send())
        self.sock.close()

    def assert_closed_by_the_server(self) -> None:
        assert self.sock.recv(1) == b""


def join_all(server: Server, world_size: int, run_id: str = "run-1", **fields: Topology) -> list[Rank]:
    ranks = [Rank(server, Join(run_id, rank, world_size, **fields)) for rank in range(world_size)]
    for rank in ranks:
        rank.hear(p.Joined)
    for rank in ranks:
        rank.hear(p.GroupComplete)
    return ranks


def close(ranks: list[Rank]) -> None:
    for rank in ranks:
        rank.sock.close()


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


def test_the_key_decides_who_joins(start: Callable[..., Server]) -> None:
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


def test_a_group_that_stays_incomplete_expires_by_name(start: Callable[..., Server]) -> None:
    server = start("--group-timeout-s", "1")
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


def test_a_member_that_answers_no_ping_is_given_up(start: Callable[..., Server]) -> None:
    server = start("--ping-interval-s", "0.2", "--ping-timeout-s", "1.5")
    ranks = join_all(server, 2)
    assert ranks[0].hear(p.PeerLeft).peer.rank == 1  # reads on and so answers, while the other does not
    assert ranks[1].hear(p.Rejected).code is RejectCode.TIMEOUT
    close(ranks)


def test_ipv6(start: Callable[..., Server]) -> None:
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


# The pairing dialect, written from its description


def pairing_socket(server: Server, name: bytes) -> socket.socket:
    sock = socket.create_connection((server.host, server.port), timeout=DEADLINE_S)
    sock.sendall(name)
    return sock


def read_exactly(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (more := sock.recv(size - len(data))):
        data += more
    return data


def record(sock: socket.socket) -> bytes:
    host, port = sock.getsockname()
    return struct.pack("!4sH2x", socket.inet_aton(host), port)


@pytest.mark.parametrize("padding", [b"", b"\0", bytes(60)])
def test_pairing_byte_for_byte(server: Server, padding: bytes) -> None:
    with closing(pairing_socket(server, b"fmi_pair_0_1")) as first:
        assert read_exactly(first, 8) == record(first)  # at once, before anybody else has come
        with closing(pairing_socket(server, b"fmi_pair_0_1" + padding)) as second:
            assert read_exactly(second, 100) == record(second) + record(first)
            assert read_exactly(first, 100) == record(second)
    until(lambda: server.outcomes() == ["paired"] * 2, "both are gone")


def test_a_name_split_over_two_segments(server: Server) -> None:
    with closing(pairing_socket(server, b"fmi_")) as first:
        assert read_exactly(first, 8) == record(first)
        first.sendall(b"pair")
        with closing(pairing_socket(server, b"fmi_pair")) as second:
            assert read_exactly(second, 16)[:8] == record(second)
            assert read_exactly(first, 8) == record(second)


def test_dead_waiters_and_health_checks_are_handed_to_nobody(server: Server) -> None:
    for end in (socket.socket.close, linger_reset):
        for _ in range(3):
            end(socket.create_connection((server.host, server.port)))
            waiter = pairing_socket(server, b"name")
            read_exactly(waiter, 8)
            end(waiter)
    until(lambda: len(server.outcomes()) == 12, "the server has noticed")
    assert set(server.outcomes()) == {"gone", "abandoned"}
    with closing(pairing_socket(server, b"name")) as first, closing(pairing_socket(server, b"name")) as second:
        assert {read_exactly(first, 16), read_exactly(second, 16)} == {
            record(first) + record(second),
            record(second) + record(first),
        }


def linger_reset(sock: socket.socket) -> None:
    """Close with RST, as a process that was killed with data unread does."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


# The open internet


def test_silent_and_babbling_clients_disturb_nobody(start: Callable[..., Server]) -> None:
    server = start("--handshake-timeout-s", "1")
    with ExitStack() as stack:
        silent = [
            stack.enter_context(closing(socket.create_connection((server.host, server.port), DEADLINE_S)))
            for _ in range(50)
        ]
        for talk in (p.MAGIC, p.MAGIC + b"\x01", p.MAGIC + b"\x01" + b"\x10\x01", p.MAGIC + b"\x01" + b"\xff" * 50_000):
            stack.enter_context(closing(pairing_socket(server, talk)))
        stack.enter_context(closing(pairing_socket(server, b"n" * 100_000)))
        close(join_all(server, 8))  # while all of them are connected
        for sock in silent:
            assert sock.recv(1) == b""
    until(lambda: len(server.outcomes()) == 50 + 5 + 8, "all are gone")
    counts = {outcome: server.outcomes().count(outcome) for outcome in set(server.outcomes())}
    assert counts["timeout"] == 53
    assert counts["malformed"] == 2


def test_a_flood_of_pings_is_not_answered(server: Server) -> None:
    rank = Rank(server, Join("run-1", 0, 2))
    rank.hear(p.Joined)
    ping = struct.pack("!BH", 0x20, p.MAX_TOKEN) + bytes(p.MAX_TOKEN)
    with closing(rank.sock), pytest.raises(OSError):  # noqa: PT012 - the send that meets the reset
        while True:
            rank.sock.sendall(ping * 10_000)
    until(lambda: server.outcomes() == ["malformed"], "the server has dropped it")


def test_nothing_is_left_of_connections_dropped_in_any_state(server: Server) -> None:
    files = server.open_files()
    hello = p.MAGIC + bytes((p.VERSION,))
    for end in (socket.socket.close, linger_reset):
        for talk in (b"", b"name", hello[:2], hello, hello + b"\x10", hello + b"\x7f\0\0", b"\0"):
            for _ in range(10):
                end(pairing_socket(server, talk))
        for number in range(10):
            rank = Rank(server, Join(f"run-{number}", 0, 2))
            rank.hear(p.Joined)
            end(rank.sock)
    until(lambda: server.open_files() == files, "every descriptor is closed")
    close(join_all(server, 4))


def test_connections_beyond_the_limit_are_dropped(start: Callable[..., Server]) -> None:
    server = start("--max-connections-per-address", "3")
    with ExitStack() as stack:
        waiting = [stack.enter_context(closing(pairing_socket(server, b"%d" % n))) for n in range(3)]
        for sock in waiting:
            assert len(read_exactly(sock, 8)) == 8
        fourth = stack.enter_context(closing(socket.create_connection((server.host, server.port), DEADLINE_S)))
        with suppress(ConnectionResetError):
            assert fourth.recv(1) == b""
    until(lambda: sorted(server.outcomes()) == ["abandoned"] * 3 + ["limited"], "all are gone")


# Operation


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_shutdown_tells_everybody_and_ends_with_status_0(server: Server, number: int) -> None:
    ranks = join_all(server, 3)
    with closing(pairing_socket(server, b"name")) as waiter:
        read_exactly(waiter, 8)
        server.process.send_signal(number)
        for rank in ranks:
            rank.hear(p.ServerClosing)
            rank.assert_closed_by_the_server()
        close(ranks)
        assert waiter.recv(1) == b""
    assert server.process.wait(DEADLINE_S) == 0
    assert server.outcomes() == ["shutdown"] * 4
    assert server.lines()[-1] == {"event": "closed"}


def test_a_pair_meets_while_the_server_shuts_down(server: Server) -> None:
    with closing(pairing_socket(server, b"name")) as first, closing(pairing_socket(server, b"")) as second:
        read_exactly(first, 8)
        silent_is_known(server)
        server.process.send_signal(signal.SIGTERM)
        until(lambda: any(line["event"] == "closing" for line in server.lines()), "the server has begun to close")
        second.sendall(b"name")
        assert read_exactly(first, 8) == record(second)
        assert read_exactly(second, 16) == record(second) + record(first)
    assert server.process.wait(DEADLINE_S) == 0


def silent_is_known(server: Server) -> None:
    """Connections are accepted in order: once a later one has been answered, earlier ones have been accepted."""
    with closing(pairing_socket(server, b"probe")) as probe:
        read_exactly(probe, 8)


def test_the_server_outlives_the_reader_of_its_log() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "rendezvous_server", "--host", "127.0.0.1", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        port = json.loads(process.stdout.readline())["port"]
        process.stdout.close()
        for _ in range(2):  # the first line that cannot be written, and life after it
            with closing(socket.create_connection(("127.0.0.1", port), DEADLINE_S)) as sock:
                sock.sendall(b"name")
                assert len(read_exactly(sock, 8)) == 8
            time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=DEADLINE_S)
        assert (process.returncode, errors) == (0, "")


def test_a_port_in_use_is_said(server: Server) -> None:
    second = subprocess.run(
        [sys.executable, "-m", "rendezvous_server", "--host", "127.0.0.1", "--port", str(server.port)],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert second.returncode == 1
    assert f"cannot listen on 127.0.0.1 port {server.port}" in second.stderr


def test_it_works_on_asyncios_own_loop(start: Callable[..., Server], tmp_path: Path) -> None:
    (tmp_path / "uvloop.py").write_text("raise ImportError('not installed')\n")
    server = start(PYTHONPATH=os.pathsep.join([str(tmp_path), os.getcwd()]))
    test_pairing_byte_for_byte(server, b"")
    test_a_rank_that_dies_is_reported_and_replaced(server)
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(DEADLINE_S) == 0
