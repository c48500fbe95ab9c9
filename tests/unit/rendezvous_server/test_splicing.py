"""Who holds how many bytes when a reader is slow, with transports that take as much as they are told to."""

import asyncio
import gc
import socket
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from rendezvous_server.effects import Outcome
from rendezvous_server.splicing import (
    LARGE_BUFFER_BYTES,
    MAX_LARGE_BUFFERS,
    SMALL_BUFFER_BYTES,
    SPARE_BUFFERS,
    BufferPool,
    RelayEnd,
    splice,
)


class FakeTransport(asyncio.Transport):
    """Takes at once what it has `room` for, and the rest when it has room again."""

    def __init__(self) -> None:
        super().__init__()
        self.sock = socket.socket()
        self.room = 1 << 30
        self.taken = bytearray()
        self.waiting: memoryview | bytes = b""
        self.reading = True
        self.eof = False
        self.ended = ""
        self.protocol: Any = None
        self.soon: list[Callable[[], None]] = []  # what the loop is to call in its next turn
        self.turns = True  # whether the loop gets round by itself

    def get_extra_info(self, name: str, default: object = None) -> object:
        return self.sock

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        assert high == 0

    def write(self, data: Any) -> None:
        assert not len(self.waiting), "a reader with leftovers does not read on"
        self.taken += data[: self.room]
        self.waiting = data[self.room :]
        self.room -= len(data) - len(self.waiting)
        if self.waiting:
            self.protocol.pause_writing()

    def make_room(self, size: int) -> None:
        self.room = size
        rest, self.waiting = self.waiting, b""
        if rest:
            self.write_rest(rest)

    def write_rest(self, rest: Any) -> None:
        self.taken += rest[: self.room]
        self.waiting = rest[self.room :]
        if not self.waiting:
            self.protocol.resume_writing()

    def get_write_buffer_size(self) -> int:
        return len(self.waiting)

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def write_eof(self) -> None:
        self.eof = True

    def is_closing(self) -> bool:
        return bool(self.ended)

    def receive(self, data: bytes) -> None:
        """The peer sends: as a loop does, read into the protocol's buffer."""
        while data:
            assert self.reading
            buffer = self.protocol.get_buffer(-1)
            part, data = data[: len(buffer)], data[len(buffer) :]
            buffer[: len(part)] = part
            self.protocol.buffer_updated(len(part))
            if self.turns:
                self.turn()

    def turn(self) -> None:
        while self.soon:
            self.soon.pop(0)()


class FakeConnection:
    def __init__(self) -> None:
        self.transport = FakeTransport()
        self.outcome: Outcome | None = None
        self.bytes = 0
        self.ends = 0
        self.lost = False

    def carried(self, size: int) -> None:
        self.bytes += size

    def relay_ended(self) -> None:
        self.ends += 1

    def connection_lost(self, error: Exception | None) -> None:
        self.transport.ended = "lost"
        self.lost = True


@pytest.fixture
def buffers() -> BufferPool:
    return BufferPool()


def pair(buffers: BufferPool) -> tuple[FakeConnection, FakeConnection]:
    first, second = FakeConnection(), FakeConnection()
    splice(first, second, buffers, first.transport.soon.append)  # type: ignore[arg-type]
    return first, second


def held(*connections: FakeConnection) -> int:
    ends: list[RelayEnd] = [connection.transport.protocol for connection in connections]
    return sum(len(end._kept or b"") for end in ends)


def test_bytes_go_both_ways_and_nothing_is_held(buffers: BufferPool) -> None:
    one, other = pair(buffers)
    large = bytes(range(256)) * 10_000
    one.transport.receive(large)
    other.transport.receive(b"answer")
    assert (other.transport.taken, one.transport.taken) == (large, b"answer")
    assert (one.bytes, other.bytes) == (len(large), 6)
    assert held(one, other) == 0


def test_others_have_a_turn_after_each_full_buffer(buffers: BufferPool) -> None:
    one, other = pair(buffers)
    one.transport.turns = False
    one.transport.receive(bytes(LARGE_BUFFER_BYTES))
    assert not one.transport.reading
    one.transport.turn()
    assert one.transport.reading
    one.transport.receive(bytes(LARGE_BUFFER_BYTES))
    one.transport.resume_reading()  # as if its partner had just taken something
    other.transport.room = 0
    one.transport.receive(b"leftover")
    one.transport.turn()
    assert not one.transport.reading  # not before its partner has taken it


def test_a_slow_reader_stops_its_partner_and_costs_one_buffer(buffers: BufferPool) -> None:
    one, other = pair(buffers)
    other.transport.room = 3
    one.transport.receive(b"abcdef")
    assert not one.transport.reading
    assert other.transport.reading
    assert held(one, other) == LARGE_BUFFER_BYTES
    busy, reader = pair(buffers)
    busy.transport.receive(b"something else")  # does not overwrite what waits
    assert reader.transport.taken == b"something else"
    other.transport.make_room(2)
    assert not one.transport.reading
    other.transport.make_room(2)
    assert one.transport.reading
    assert other.transport.taken == b"abcdef"
    assert held(one, other) == 0


def test_many_slow_readers_cost_small_buffers(buffers: BufferPool) -> None:
    pairs = [pair(buffers) for _ in range(200)]
    for number, (one, other) in enumerate(pairs):
        other.transport.room = 0
        one.transport.receive(b"%d" % number)
    large = MAX_LARGE_BUFFERS - 1  # one is left to read into, until that has to wait too
    assert held(*(one for one, _ in pairs)) <= MAX_LARGE_BUFFERS * LARGE_BUFFER_BYTES + 200 * SMALL_BUFFER_BYTES
    assert held(*(one for one, _ in pairs)) >= large * LARGE_BUFFER_BYTES
    assert len(buffers.current) == SMALL_BUFFER_BYTES
    for number, (_, other) in enumerate(pairs):
        other.transport.make_room(10)
        assert other.transport.taken == b"%d" % number
    assert held(*(one for one, _ in pairs)) == 0
    assert len(buffers.current) == LARGE_BUFFER_BYTES
    assert len(buffers._spare) == SPARE_BUFFERS
    assert buffers._large == SPARE_BUFFERS + 1


def test_a_spare_buffer_is_used_again(buffers: BufferPool) -> None:
    one, other = pair(buffers)
    for _ in range(3):
        other.transport.room = 0
        one.transport.receive(b"x")
        other.transport.make_room(1)
    assert buffers._large == 2
    small = bytearray(SMALL_BUFFER_BYTES)
    buffers.give_back(small)
    assert small not in buffers._spare


def test_each_end_is_passed_on_and_both_end_the_relay(buffers: BufferPool) -> None:
    one, other = pair(buffers)
    assert one.transport.protocol.eof_received()
    assert other.transport.eof
    other.transport.receive(b"still here")
    assert one.transport.taken == b"still here"
    assert one.ends + other.ends == 0
    assert other.transport.protocol.eof_received()
    assert one.transport.eof
    assert one.ends + other.ends == 1


def test_what_waits_survives_its_sender(buffers: BufferPool) -> None:
    one, other = pair(buffers)
    other.transport.room = 0
    one.transport.receive(b"last words")
    one.transport.protocol.connection_lost(None)
    assert one.lost
    assert held(one) == LARGE_BUFFER_BYTES
    other.transport.make_room(100)
    assert other.transport.taken == b"last words"
    assert held(one) == 0


def test_what_waits_goes_with_its_reader(buffers: BufferPool) -> None:
    one, other = pair(buffers)
    other.transport.room = 0
    one.transport.receive(b"never read")
    other.transport.protocol.connection_lost(ConnectionResetError())
    assert held(one, other) == 0
    one.transport.receive(b"nor this")
    assert one.bytes == len(b"never read")
    assert not one.transport.protocol.eof_received()  # so that its transport closes
    assert not other.transport.eof


def test_after_the_end_nothing_is_carried(buffers: BufferPool) -> None:
    one, other = pair(buffers)
    one.outcome = Outcome.LOST
    one.transport.receive(b"too late")
    assert other.transport.taken == b""
    assert not one.transport.protocol.eof_received()
    one.transport.ended = "close"
    other.transport.protocol.pause_writing()
    assert one.transport.reading


def test_a_relay_that_has_ended_is_forgotten_without_the_garbage_collector(buffers: BufferPool) -> None:
    connections = list(pair(buffers))
    known = [weakref.ref(connection) for connection in connections]
    gc.disable()
    try:
        for connection in connections:
            connection.transport.protocol.connection_lost(None)
            connection.transport.protocol = None  # as a loop's transport forgets it
        del connection
        connections.clear()
        assert [ref() for ref in known] == [None, None]
    finally:
        gc.enable()
