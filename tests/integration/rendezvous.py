"""The rendezvous server as people run it, a process, and clients that speak to it over real sockets."""

import json
import os
import socket
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from rendezvous_server import protocol as p
from rendezvous_server.protocol import ClientConnection, Endpoint, Join, Relay, RelayConnection, Topology

DEADLINE_S = 30.0  # for anything to happen on a busy machine; nothing here takes longer than its part of a second
COMMAND = [sys.executable, "-m", "rendezvous_server", "--host", "127.0.0.1", "--port", "0"]
KEY = "the deployment's key"
HELLO = p.MAGIC + bytes((p.VERSION,))


class Server:
    """A server process, with ports as its first log line names them."""

    def __init__(self, process: subprocess.Popen, first_line: str, log: Path | None = None) -> None:
        listening = json.loads(first_line)
        assert listening["event"] == "listening"
        self.process = process
        self.host: str = listening["host"]
        self.port: int = listening["port"]
        self.probe_port: int = listening["probe_port"]
        self.http_port: int = listening["http_port"]
        self._log = log

    def lines(self) -> list[dict]:
        assert self._log is not None
        return [json.loads(line) for line in complete_lines(self._log)]

    def connections(self) -> list[dict]:
        return [line for line in self.lines() if line["event"] == "connection"]

    def outcomes(self) -> list[str]:
        return [line["outcome"] for line in self.connections()]

    def get(self, path: str) -> tuple[int, str]:
        """Status and body."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}{path}", timeout=DEADLINE_S) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metrics(self) -> dict[str, float]:
        """By name, with the values of labels behind it: `rendezvous_connections_total pairing paired`."""
        status, text = self.get("/metrics")
        assert status == 200
        return {
            " ".join((sample.name, *sample.labels.values())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def resident_bytes(self) -> int:
        fields = Path(f"/proc/{self.process.pid}/statm").read_text().split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")

    def connect(self, data: bytes = b"") -> socket.socket:
        sock = socket.create_connection((self.host, self.port), timeout=DEADLINE_S)
        if data:
            sock.sendall(data)
        return sock


def until(happened: Callable[[], object], what: str = "what is waited for") -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not happened():
        assert time.monotonic() < deadline, f"not within {DEADLINE_S} s: {what}"
        time.sleep(0.01)


Start = Callable[..., Server]


@contextmanager
def servers(folder: Path) -> Iterator[Start]:
    """Starts servers with flags and environment; all end with the block."""
    number = count()
    with ExitStack() as stack:

        def start(*flags: str, **environ: str) -> Server:
            log = folder / f"log {next(number)}"
            inherited = {name: value for name, value in os.environ.items() if not name.startswith("RENDEZVOUS_")}
            with log.open("w") as output:
                process = subprocess.Popen([*COMMAND, *flags], stdout=output, env={**inherited, **environ})
            stack.callback(process.wait, DEADLINE_S)
            stack.callback(process.kill)
            until(lambda: complete_lines(log) or process.poll() is not None, "the server says where it listens")
            return Server(process, complete_lines(log)[0], log)

        yield start


def complete_lines(log: Path) -> list[str]:
    return log.read_text().rpartition("\n")[0].splitlines()


class Client:
    """A rank's connection that has made its request; after that it reads when the test wants to hear something.
    `before` is what a load balancer puts before it."""

    def __init__(self, server: Server, connection: ClientConnection | RelayConnection, before: bytes = b"") -> None:
        self.sock = server.connect(before)
        self.connection = connection
        self.events: list[p.ClientEvent] = []
        while self.connection.state is p.ClientState.HELLO:
            self.sock.sendall(self.connection.data_to_send())
            data = self.sock.recv(1)
            assert data, "the server has ended the connection"
            self.events += self.connection.receive_data(data)
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

    def assert_closed_by_the_server(self) -> None:
        assert self.sock.recv(1) == b""


class Rank(Client):
    connection: ClientConnection

    def __init__(self, server: Server, join: Join, key: str | None = None, before: bytes = b"") -> None:
        super().__init__(server, ClientConnection(join, p.key_from_text(key) if key else None), before)

    def leave(self) -> None:
        self.connection.leave()
        self.sock.sendall(self.connection.data_to_send())
        self.sock.close()


class RelayedRank(Client):
    def __init__(self, server: Server, relay: Relay, key: str | None = None, before: bytes = b"") -> None:
        super().__init__(server, RelayConnection(relay, p.key_from_text(key) if key else None), before)


def join_all(
    server: Server, world_size: int, run_id: str = "run-1", key: str | None = None, **fields: Topology
) -> list[Rank]:
    ranks = [Rank(server, Join(run_id, rank, world_size, **fields), key) for rank in range(world_size)]
    for rank in ranks:
        rank.hear(p.Joined)
    for rank in ranks:
        rank.hear(p.GroupComplete)
    return ranks


def close(clients: list[Rank] | list[RelayedRank]) -> None:
    for client in clients:
        client.sock.close()


def read_exactly(sock: socket.socket, size: int) -> bytes:
    """Less only at the end."""
    data = b""
    while len(data) < size and (more := sock.recv(size - len(data))):
        data += more
    return data


def record(sock: socket.socket) -> bytes:
    """The client's address as the pairing dialect writes it."""
    host, port = sock.getsockname()
    return struct.pack("!4sH2x", socket.inet_aton(host), port)


def linger_reset(sock: socket.socket) -> None:
    """Close with RST, as a process that was killed with data unread does."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
