"""Load in the group dialect. All members of a world's groups run in one thread, on non-blocking sockets and epoll.

The server is what is to be measured, so a rank here counts frames and rows and takes nothing apart. Parsing 4,096
tables of 4,096 rows would take this process a minute. The join comes from the real client, as its proof needs the
server's nonce. What some of the ranks were sent is kept. When the clock has stopped, the real client's parser reads it,
and it is compared with the addresses that the ranks' sockets really have.
"""

import gc
import resource
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from errno import EINPROGRESS, errorcode
from select import EPOLLIN, EPOLLOUT, epoll
from time import perf_counter

from rendezvous_server.protocol import (
    COMPLETE_FRAME,
    PING_FRAME,
    ROOT,
    ClientConnection,
    ClientState,
    Endpoint,
    Join,
    Peer,
    RemoteProtocolError,
    encode_joined,
    encode_peers,
    encode_row,
)
from scripts.bench.errors import BenchmarkError
from scripts.bench.servers import Server
from scripts.series import Round

TABLES_READ = 64  # in full, of each world; all of a smaller one
CONNECTS_AT_ONCE = 64  # then a look at what the server has answered, so that it is never without work
DEADLINE_S = 60.0  # a hundred times what the largest group needs
RECEIVE_BYTES = 1 << 20
EVENTS_AT_ONCE = 1024
SPARE_FILES = 64  # descriptors for everything that is not a rank

HEADER = struct.Struct("!BH")  # type, length of the body
LOOPBACK = Endpoint("127.0.0.1", 1)
JOINED, PEERS, COMPLETE, PING = KNOWN = tuple(
    frame[0] for frame in (encode_joined(LOOPBACK, 0, 0), encode_peers([b"row"]), COMPLETE_FRAME, PING_FRAME)
)


def raise_file_limit() -> int:
    """Raise the limit of open files to the most that this process may have.

    Returns:
        How many ranks that is enough for.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard - SPARE_FILES


@dataclass(slots=True)
class FrameCounter:
    """Counts what a stream of frames holds, however it was cut on the way. Every row has `row_bytes`."""

    row_bytes: int
    frames: int = 0
    rows: int = 0
    complete: bool = False
    objection: str = ""
    _header: bytes = b""
    _left: int = 0  # bytes of the present frame's body that are still to come

    def feed(self, data: memoryview) -> None:
        """Count what is in the next piece of the stream."""
        at, end = 0, len(data)
        while at < end:
            if self._left:
                skipped = min(self._left, end - at)
                self._left -= skipped
                at += skipped
                continue
            taken = min(HEADER.size - len(self._header), end - at)
            self._header += data[at : at + taken]
            at += taken
            if len(self._header) == HEADER.size:
                kind, self._left = HEADER.unpack(self._header)
                self._header = b""
                self._count(kind, self._left, data[at : at + self._left])

    def _count(self, kind: int, size: int, body: memoryview) -> None:
        self.frames += 1
        if kind == PEERS:
            rows, rest = divmod(size, self.row_bytes)
            self.rows += rows
            if rest:
                self.objection = f"a table of {size} bytes, where a row has {self.row_bytes}"
        elif kind == COMPLETE:
            self.complete = True
        elif kind not in KNOWN:  # the server's last word: a code, and a reason in words
            self.objection = f"a frame of type 0x{kind:02x}: {bytes(body).decode(errors='replace')}"


@dataclass(slots=True, eq=False)
class _JoiningRank:
    connection: ClientConnection
    counter: FrameCounter
    due: int  # rows of others; its own may come as well
    sock: socket.socket
    kept: bytearray | None  # all that came after its join, if its table is to be read
    received: int = 0  # bytes
    told: bool = False  # has its whole table


class GroupLoad:
    """One bootstrap of a world's groups. `fault` says what went wrong."""

    def __init__(self, server: Server, joins: Sequence[Join]) -> None:
        self._server = server
        self._joins = joins
        self._buffer = memoryview(bytearray(RECEIVE_BYTES))
        self._epoll = epoll()
        self._ranks: list[_JoiningRank] = []
        self._by_number: dict[int, _JoiningRank] = {}
        self._told = 0
        self.fault = ""

    def run(self) -> Round:
        """Measure from the first connect to the last rank's full table. There are no figures after a fault."""
        gc.collect()
        gc.disable()
        try:
            self._make_ranks()
            figures = self._bootstrap()
            if not self.fault:
                figures["tables_read"] = self._read_tables()
            return {} if self.fault else figures
        finally:
            gc.enable()
            for rank in self._ranks:
                rank.sock.close()
            self._epoll.close()

    def _make_ranks(self) -> None:
        keep_each = max(1, len(self._joins) // TABLES_READ)
        for place, join in enumerate(self._joins):
            self._ranks.append(
                _JoiningRank(
                    ClientConnection(join, self._server.key),
                    FrameCounter(len(encode_row(join, LOOPBACK))),
                    join.world_size - 1 if join.wants_all else 1,
                    socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK),
                    bytearray() if place % keep_each == 0 else None,
                )
            )

    def _bootstrap(self) -> Round:
        idle_mb, _ = self._server.memory_mb()
        cpu_before, began = self._server.cpu_s(), perf_counter()
        for number, rank in enumerate(self._ranks, start=1):
            self._connect(rank)
            if number % CONNECTS_AT_ONCE == 0:
                self._poll(0)
        while self._told < len(self._ranks) and not self.fault:
            self._poll(1)
            if perf_counter() > began + DEADLINE_S:
                self.fault = f"{self._told} of {len(self._ranks)} members had their table after {DEADLINE_S:g} s"
        seconds, cpu_after = perf_counter() - began, self._server.cpu_s()
        memory_mb, peak_mb = self._server.memory_mb()
        assert cpu_before is not None
        assert cpu_after is not None
        return {
            "ms": 1e3 * seconds,
            "joins": len(self._ranks),
            "messages": len(self._ranks) + sum(rank.counter.frames for rank in self._ranks),  # each had a challenge
            "bytes": sum(rank.received for rank in self._ranks),
            "server_cpu_s": cpu_after - cpu_before,
            "server_kb_each": 1e3 * (memory_mb - idle_mb) / len(self._ranks),
            "server_idle_mb": idle_mb,
            "server_mb": memory_mb,
            "server_peak_mb": peak_mb,
        }

    def _poll(self, timeout_s: float) -> None:
        for number, mask in self._epoll.poll(timeout_s, EVENTS_AT_ONCE):
            rank = self._by_number[number]
            try:
                if mask & EPOLLOUT:
                    self._epoll.modify(number, EPOLLIN)
                    rank.sock.send(rank.connection.data_to_send())  # HELLO
                else:
                    self._receive(rank)
            except (OSError, RemoteProtocolError) as error:
                self.fault = f"{_named(rank)}: {error}"

    def _connect(self, rank: _JoiningRank) -> None:
        error = rank.sock.connect_ex((self._server.host, self._server.port))
        if error not in (0, EINPROGRESS):
            raise BenchmarkError(f"no connection to {self._server.host}:{self._server.port}: {errorcode[error]}")
        self._by_number[rank.sock.fileno()] = rank
        self._epoll.register(rank.sock.fileno(), EPOLLIN | EPOLLOUT)  # out: as soon as the connection stands

    def _receive(self, rank: _JoiningRank) -> None:
        size = rank.sock.recv_into(self._buffer)
        data, counter = self._buffer[:size], rank.counter
        rank.received += size
        if not size:
            self.fault = self.fault or f"{_named(rank)}: the server closed the connection"
        elif rank.connection.state is ClientState.HELLO:
            for event in rank.connection.receive_data(bytes(data)):
                self.fault = f"{_named(rank)}: {event}"
            rank.sock.send(rank.connection.data_to_send())
        else:
            counter.feed(data)
            if rank.kept is not None:
                rank.kept += data
            if counter.objection:
                self.fault = f"{_named(rank)}: {counter.objection}"
            if counter.complete and counter.rows >= rank.due and not rank.told:
                rank.told = True
                self._told += 1

    def _read_tables(self) -> int:
        """Count the tables that were read. Sets `fault` where one is not what it should be."""
        tables: dict[str, dict[int, Peer]] = {}
        for rank in self._ranks:
            join, observed = rank.connection.join, Endpoint.from_sockaddr(rank.sock.getsockname())
            tables.setdefault(join.run_id, {})[join.rank] = Peer(join.rank, 0, observed, join.local)
        kept = [rank for rank in self._ranks if rank.kept is not None]
        for rank in kept:
            connection, table = rank.connection, tables[rank.connection.join.run_id]
            for _ in connection.receive_data(bytes(rank.kept or b"")):
                pass
            due = table if connection.join.wants_all else {ROOT: table[ROOT]}
            if connection.peers != {number: peer for number, peer in due.items() if number != connection.join.rank}:
                self.fault = f"{_named(rank)} was given another table than the one of {len(due)} rows that is its own"
        return len(kept)


def _named(rank: _JoiningRank) -> str:
    return f"rank {rank.connection.join.rank} of {rank.connection.join.run_id}"
