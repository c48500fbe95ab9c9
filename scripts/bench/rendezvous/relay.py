"""Relay throughput. A stream of large writes goes through the server, and the same stream through a raw loopback pair.

Each end has a thread of its own. A thread that wrote and read in turn would find everything in its core's cache, which
no two ranks do. A raw pair thus has two cores, and a relay, whose server wants a third, shares what there is.
"""

import gc
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from threading import Thread
from time import perf_counter

from rendezvous_server.protocol import (
    ClientConnection,
    ClientEvent,
    ClientState,
    GroupComplete,
    Join,
    Relay,
    RelayConnection,
    Spliced,
)
from scripts.bench.errors import BenchmarkError
from scripts.bench.servers import Server
from scripts.series import Round

WRITE_BYTES = 1 << 20
CHECKED_BYTES = 16 << 20  # are sent first and compared byte by byte, outside the clock
STALL_S = 10.0

Ends = tuple[socket.socket, socket.socket]  # what is written to the first comes out of the second


def relay_round(server: Server, size: int) -> Round:
    """Send `size` bytes through each. Raises BenchmarkError where they do not arrive, or not as they were sent."""
    content = os.urandom(WRITE_BYTES)
    with raw_ends() as ends:
        raw_s = stream(ends, content, size)
    idle_mb, _ = server.memory_mb()
    with relayed_ends(server, "bench-relay") as ends:
        stream(ends, content, CHECKED_BYTES, check=True)
        cpu_before = server.cpu_s()
        relay_s = stream(ends, content, size)
        cpu_after = server.cpu_s()
        _, peak_mb = server.memory_mb()
    assert cpu_before is not None
    assert cpu_after is not None
    return {
        "raw_mb_per_s": size / 1e6 / raw_s,
        "relay_mb_per_s": size / 1e6 / relay_s,
        "share_of_raw": raw_s / relay_s,
        "server_cpu_s_per_gb": (cpu_after - cpu_before) / (size / 1e9),
        "server_idle_mb": idle_mb,
        "server_peak_mb": peak_mb,
    }


@contextmanager
def raw_ends() -> Iterator[Ends]:
    """Connect two sockets over loopback."""
    with ExitStack() as stack:
        listener = stack.enter_context(closing(socket.create_server(("127.0.0.1", 0))))
        one = stack.enter_context(closing(socket.create_connection(listener.getsockname())))
        two = stack.enter_context(closing(listener.accept()[0]))
        yield one, two


@contextmanager
def relayed_ends(server: Server, run_id: str) -> Iterator[Ends]:
    """Connect two ranks, of a group that has just these two, through the server."""
    with ExitStack() as stack:

        def connect(connection: ClientConnection | RelayConnection) -> "_ServerConnection":
            sock = socket.create_connection((server.host, server.port), timeout=STALL_S)
            return _ServerConnection(stack.enter_context(closing(sock)), connection)

        members = [connect(ClientConnection(Join(run_id, rank, 2), server.key)) for rank in (0, 1)]
        for member in members:
            member.ask()
        for member in members:
            member.hear(GroupComplete)
        relays = [connect(RelayConnection(Relay(run_id, rank, 0, 1 - rank, 0), server.key)) for rank in (0, 1)]
        for relay in relays:
            relay.ask()
        for relay in relays:
            relay.hear(Spliced)
        yield relays[0].sock, relays[1].sock


class _ServerConnection:
    """A connection to the server on a blocking socket."""

    def __init__(self, sock: socket.socket, connection: ClientConnection | RelayConnection) -> None:
        self.sock = sock
        self._connection = connection

    def ask(self) -> None:
        """Say what this connection is for."""
        while self._connection.state is ClientState.HELLO:
            self._turn()

    def hear(self, kind: type) -> None:
        """Wait for an event. Raises BenchmarkError if the server refuses."""
        while True:
            events = self._turn()
            if any(isinstance(event, kind) for event in events):
                return
            if self._connection.state is ClientState.ENDED:
                raise BenchmarkError(f"the server did not make a relay: {events}")

    def _turn(self) -> list[ClientEvent]:
        """Send what is due, and hear what comes, which may make something due."""
        self.sock.sendall(self._connection.data_to_send())
        data = self.sock.recv(1 << 16)
        events = list(self._connection.receive_data(data) if data else self._connection.receive_eof())
        self.sock.sendall(self._connection.data_to_send())
        return events


def stream(ends: Ends, content: bytes, size: int, check: bool = False) -> float:
    """Send `size` bytes, which are `content` again and again.

    Args:
        ends: Where they are sent and received.
        content: What is sent.
        size: How much of it.
        check: Whether what comes is compared with what was sent.

    Returns:
        The seconds until the last byte has come.

    Raises:
        BenchmarkError: Not all bytes came, or others than were sent.
    """
    sender, receiver = ends
    for end in ends:
        end.settimeout(STALL_S)
    view, buffer = memoryview(content), bytearray(len(content))
    twice = content * 2  # a read may begin anywhere in the content

    def write() -> None:
        sent = 0
        with suppress(OSError):  # the reader notices
            while sent < size:
                at = sent % len(content)
                sent += sender.send(view[at : at + size - sent])

    gc.collect()
    writer = Thread(target=write, daemon=True)
    began = perf_counter()
    writer.start()
    received = 0
    while received < size:
        try:
            count = receiver.recv_into(buffer)
        except OSError as error:
            raise BenchmarkError(f"{error} after {received:,} of {size:,} bytes") from error
        if not count:
            raise BenchmarkError(f"the connection ended after {received:,} of {size:,} bytes")
        at = received % len(content)
        if check and buffer[:count] != twice[at : at + count]:
            raise BenchmarkError(f"other bytes than were sent, between byte {received:,} and {received + count:,}")
        received += count
    seconds = perf_counter() - began
    writer.join()
    return seconds
