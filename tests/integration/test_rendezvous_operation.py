"""How the server is run: its ports, log and metrics, what it bears from the open internet, and its end."""

import json
import os
import random
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import pytest

from rendezvous_server import protocol as p
from rendezvous_server.effects import Outcome
from rendezvous_server.protocol import Join, ProbeConnection, Relay
from rendezvous_server.proxy_protocol import SIGNATURE
from tests.integration.communicators import free_port
from tests.integration.rendezvous import (
    COMMAND,
    DEADLINE_S,
    HELLO,
    KEY,
    Rank,
    RelayedRank,
    Server,
    Start,
    close,
    join_all,
    linger_reset,
    read_exactly,
    record,
    until,
)


def pair(server: Server, name: bytes = b"name") -> None:
    with closing(server.connect(name)) as first, closing(server.connect(name)) as second:
        assert {read_exactly(first, 16), read_exactly(second, 16)} == {
            record(first) + record(second),
            record(second) + record(first),
        }


# Health and metrics


def test_health_and_metrics(server: Server) -> None:
    assert server.get("/livez") == (200, "ok\n")
    assert server.get("/readyz")[0] == 200
    assert server.get("/")[0] == 404
    ranks = join_all(server, 3)
    incomplete = Rank(server, Join("run-2", 0, 2))
    incomplete.hear(p.Joined)
    relays = [RelayedRank(server, Relay("run-1", rank, 0, 1 - rank, 0)) for rank in range(2)]
    for relay in relays:
        relay.hear(p.Spliced)
    pair(server)
    until(lambda: server.outcomes() == ["paired"] * 2, "the pair is gone")
    metrics = server.metrics()
    for name, value in {
        "connections_total pairing paired": 2,
        "connections_total group left": 0,
        "connections_open": 6,
        "connections_by_phase member": 4,
        "connections_by_phase spliced": 2,
        "connections_by_phase waiting": 0,
        "groups complete": 1,
        "groups incomplete": 1,
        "group_completion_seconds_count": 1,
        "pairing_wait_seconds_count": 1,
        "relay_wait_seconds_count": 1,
        "limits_hit_total joins": 0,
        "log_lines_dropped_total": 0,
    }.items():
        assert metrics[f"rendezvous_{name}"] == value, name
    assert metrics["process_open_fds"] > 6
    close([*ranks, incomplete])
    close(relays)


def test_while_it_shuts_down_the_server_is_alive_but_not_ready(server: Server) -> None:
    with closing(server.connect(b"name")) as waiter, closing(server.connect()) as silent:
        read_exactly(waiter, 8)
        until(lambda: server.metrics()["rendezvous_connections_by_phase silent"] == 1, "the second has connected")
        server.process.send_signal(signal.SIGTERM)
        until(lambda: server.get("/readyz") == (503, "shutting down\n"), "it says so")
        assert server.get("/livez")[0] == 200
        silent.sendall(b"name")
        assert read_exactly(waiter, 8) == record(silent)
    assert server.process.wait(DEADLINE_S) == 0


def test_slow_and_broken_http_clients_disturb_nobody(server: Server) -> None:
    with ExitStack() as stack:
        for talk in (b"", b"GET /met", b"\xff" * 1_000, b"POST / HTTP/1.0\r\n\r\n", *[b"GET "] * 30):
            sock = stack.enter_context(closing(socket.create_connection(("127.0.0.1", server.http_port), DEADLINE_S)))
            sock.sendall(talk)
        pair(server)

    def has_room() -> bool:
        try:
            return server.get("/livez")[0] == 200
        except OSError:  # refused: the others are not all gone yet
            return False

    until(has_room, "there is room again")


# The log


def test_the_server_outlives_the_reader_of_its_log() -> None:
    with piped() as (process, server):
        assert process.stdout is not None
        process.stdout.close()
        for _ in range(2):  # the first line that cannot be written, and life after it
            pair(server)
            until(lambda: server.metrics()["rendezvous_connections_open"] == 0, "both are gone")
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=DEADLINE_S)
        assert (process.returncode, errors) == (0, b"")


def test_the_server_does_not_wait_for_the_reader_of_its_log() -> None:
    """Nobody reads the pipe: it holds 64 KiB, some 500 lines."""
    with piped() as (process, server):
        for number in range(1_000):
            server.connect(b"%d" % number).close()
        pair(server)
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 0


@contextmanager
def piped() -> Iterator[tuple[subprocess.Popen[bytes], Server]]:
    """A server whose log goes into a pipe, of which only the first line has been read."""
    with subprocess.Popen(COMMAND, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0) as process:
        assert process.stdout is not None
        try:
            yield process, Server(process, process.stdout.readline().decode())
        finally:
            process.kill()


def test_secrets_are_shown_nowhere(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    for server in (start(RENDEZVOUS_KEY=KEY), start(RENDEZVOUS_KEY_FILE=str(file))):
        for key in (KEY, "a guess", None):
            rank = Rank(server, Join("run-1", 0, 2), key)
            rank.hear(p.Joined if key == KEY else p.Rejected)
            rank.sock.close()
        server.connect(HELLO + KEY.encode()).close()
        until(lambda server=server: len(server.outcomes()) == 4, "all are gone")
        shown = json.dumps(server.lines()) + server.get("/metrics")[1]
        assert KEY not in shown
        assert KEY.encode().hex() not in shown


# The open internet


def test_silent_and_babbling_clients_disturb_nobody(start: Start) -> None:
    server = start("--handshake-timeout-s", "3")  # in which the ranks below say what they want, on a busy machine, too
    with ExitStack() as stack:
        silent = [stack.enter_context(closing(server.connect())) for _ in range(50)]
        talks = p.MAGIC, HELLO, HELLO + b"\x10\x01", HELLO + b"\xff" * 50_000, b"n" * 100_000
        babbling = [stack.enter_context(closing(server.connect(talk))) for talk in talks]
        close(join_all(server, 8))  # while all of them are connected
        for sock in silent:
            assert sock.recv(1) == b""
        for sock in babbling:  # whose time is over a little later
            with suppress(ConnectionResetError):
                while sock.recv(1 << 16):
                    pass
    until(lambda: len(server.outcomes()) == 50 + 5 + 8, "all are gone")
    counts = {outcome: server.outcomes().count(outcome) for outcome in set(server.outcomes())}
    assert counts["timeout"] == 53
    assert counts["malformed"] == 2


def test_noise_disturbs_nobody(server: Server) -> None:
    """While hundreds talk nonsense, some of it almost right, ranks and pairs meet; every end has its name."""
    noise = random.Random(7)
    requests = [HELLO + header for header in (b"\x10\0\x30", b"\x40\0\x20", b"\x48\0\x10")]
    starts = (b"", b"\0", p.MAGIC, HELLO, SIGNATURE, *requests)
    ranks = [Rank(server, Join("run-1", rank, 4)) for rank in range(3)]
    with ExitStack() as stack:
        for number in range(400):
            sock = stack.enter_context(closing(server.connect()))
            with suppress(OSError):  # it may have been turned away already
                for _ in range(noise.randrange(1, 4)):
                    sock.sendall(noise.choice(starts) + noise.randbytes(noise.randrange(200)))
            if number % 50 == 0:
                pair(server, b"pair %d" % number)
        ranks.append(Rank(server, Join("run-1", 3, 4)))
        for rank in ranks:
            rank.hear(p.GroupComplete)
    close(ranks)
    until(lambda: server.metrics()["rendezvous_connections_open"] == 0, "all are gone")
    until(lambda: len(server.outcomes()) == 400 + 16 + 4, "all have been logged")
    assert set(server.outcomes()) <= set(Outcome)
    assert server.process.poll() is None


def test_nothing_is_left_of_10_000_connections_dropped_in_every_state(start: Start) -> None:
    server = start("--handshake-timeout-s", "60")
    stays = join_all(server, 2, "run-0")
    before = held(server)
    ends: list[Callable[[socket.socket], None]] = [socket.socket.close, linger_reset]
    probe = ProbeConnection(bytes(p.NONCE_SIZE)).data_to_send()
    for turn in range(20):
        members = join_all(server, 2, f"run {turn}")
        clients: list[socket.socket] = [rank.sock for rank in members]
        for _ in range(50):
            name = b"name %d" % len(clients)
            talks = (b"", b"\0", name, name, HELLO[:2], HELLO, HELLO + b"\x10", HELLO + b"\x7f\0\0", probe)
            clients += [server.connect(talk) for talk in talks]
        for number in range(25):
            incomplete = Rank(server, Join(f"run {turn} {number}", 0, 2))
            relays = [RelayedRank(server, Relay(f"run {turn}", rank, 0, 1 - rank, 0)) for rank in range(2)]
            waiting = RelayedRank(server, Relay(f"run {turn}", number % 2, 0, 1 - number % 2, 0))
            clients += [client.sock for client in (incomplete, *relays, waiting)]
            relays[0].hear(p.Spliced)
            relays[0].sock.sendall(bytes(100_000))
        random.Random(turn).shuffle(clients)
        for number, sock in enumerate(clients):
            ends[number % 2](sock)
    until(lambda: held(server) == before, f"only what was there is there: {before}, not {held(server)}")
    opened = sum(value for name, value in server.metrics().items() if name.startswith("rendezvous_connections_total"))
    assert opened >= 10_000
    close([*stays, *join_all(server, 4, "afterwards")])


def held(server: Server) -> dict[str, float]:
    """Everything that grows with clients."""
    names = ("rendezvous_connections_open", "rendezvous_connections_by_phase", "rendezvous_groups ", "rendezvous_tasks")
    return {name: value for name, value in server.metrics().items() if name.startswith((*names, "process_open_fds"))}


# Start and end


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_shutdown_tells_everybody_and_ends_with_status_0(server: Server, number: int) -> None:
    ranks = join_all(server, 3)
    with closing(server.connect(b"name")) as waiter:
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


@pytest.mark.parametrize("flag", ["--port", "--probe-port", "--http-port"])
def test_a_port_in_use_is_said(server: Server, flag: str) -> None:
    command = [*COMMAND, flag, str(server.port)]
    second = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert second.returncode == 1
    assert second.stderr == f"cannot listen on 127.0.0.1 port {server.port}: Address already in use\n"


def test_too_few_open_files_are_said() -> None:
    """With no descriptor left for clients, a server could only refuse all of them."""
    shell = ["bash", "-c", 'ulimit -n 40 && exec "$@"', "bash", *COMMAND]
    ended = subprocess.run(shell, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert ended.returncode == 1
    assert ended.stderr == "this process may have 40 open files (ulimit -n); more than 64 are needed\n"


@pytest.mark.parametrize("closed", ["0", "1", "2"])
def test_it_runs_where_a_standard_stream_is_closed(closed: str) -> None:
    """A descriptor below 3 that is free would go to the event loop, which uvloop does not survive."""
    port = free_port()
    command = [*COMMAND, "--port", str(port), "--probe-port", "off", "--http-port", "off"]
    with subprocess.Popen(["bash", "-c", f'exec "$@" {closed}>&-', "bash", *command]) as process:

        def listens() -> bool:
            assert process.poll() is None
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), DEADLINE_S):
                return True
            return False

        try:
            until(listens, "it listens")
            process.send_signal(signal.SIGTERM)
            assert process.wait(DEADLINE_S) == 0
        finally:
            process.kill()


def test_without_probe_and_http(start: Start) -> None:
    server = start("--probe-port", "off", "--http-port", "off")
    assert (server.probe_port, server.http_port) == (None, None)
    pair(server)


def test_it_works_on_asyncios_own_loop(start: Start, tmp_path: Path) -> None:
    (tmp_path / "uvloop.py").write_text("raise ImportError('not installed')\n")
    server = start(PYTHONPATH=os.pathsep.join([str(tmp_path), os.getcwd()]))
    pair(server)
    ranks = join_all(server, 3)
    relays = [RelayedRank(server, Relay("run-1", rank, 0, 1 - rank, 0)) for rank in range(2)]
    for relay in relays:
        relay.hear(p.Spliced)
    size = 5_000_000
    thread = threading.Thread(target=relays[0].sock.sendall, args=(bytes(size),))
    thread.start()
    assert read_exactly(relays[1].sock, size) == bytes(size)
    thread.join(DEADLINE_S)
    relays[0].sock.shutdown(socket.SHUT_WR)
    assert relays[1].sock.recv(1) == b""
    close(relays)
    linger_reset(ranks[2].sock)
    for rank in ranks[:2]:
        assert rank.hear(p.PeerLeft).peer.rank == 2
    server.process.send_signal(signal.SIGTERM)
    close(ranks[:2])
    assert server.process.wait(DEADLINE_S) == 0
    assert server.outcomes().count("relayed") == 2


def test_a_server_without_a_key_says_so_at_its_start_and_to_whoever_watches_it(server: Server) -> None:
    until(lambda: len(server.lines()) > 1, "the warning")
    warning = server.lines()[1]
    assert warning["event"] == "warning"
    assert "everybody who reaches it may join" in warning["message"]
    assert server.get("/readyz") == (200, f"ok, but {warning['message']}\n")
    assert server.metrics()["rendezvous_authenticated"] == 0


def test_a_server_with_a_key_does_not_warn(start: Start) -> None:
    server = start(RENDEZVOUS_KEY=KEY)
    assert server.get("/readyz") == (200, "ok\n")
    assert server.metrics()["rendezvous_authenticated"] == 1
    pair(server)
    until(server.connections, "a later line than those of the start")
    assert "warning" not in [line["event"] for line in server.lines()]


def test_a_server_that_nobody_stops_ends_by_itself_but_not_while_it_is_used(start: Start) -> None:
    server = start("--max-idle-s", "2", "--ping-interval-s", "0.8", "--ping-timeout-s", "20")
    with closing(server.connect()):  # says nothing
        rank = Rank(server, Join("run-1", 0, 1))
        rank.hear(p.GroupComplete)
        for _ in range(3):  # pings, which it answers for longer than that
            rank.connection.receive_data(rank.sock.recv(1 << 16))
            rank.sock.sendall(rank.connection.data_to_send())
        assert server.process.poll() is None
        rank.sock.close()
        assert server.process.wait(DEADLINE_S) == 0
    events = [line["event"] for line in server.lines()]
    assert events.index("idle") < events.index("closing") < events.index("closed")
