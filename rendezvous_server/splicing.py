"""Carries bytes between two ranks that cannot reach each other. relays.py decides who is joined, and for how long.

An end reads into a buffer that all ends share, and offers what it read to its partner's socket at once. What the
kernel does not take stays in the buffer, which is that end's own from then on, and the end reads nothing until all of
it is gone: an end never holds more than one buffer, and none while bytes flow. So a reader that is slow, or has
stopped, slows down its own partner and costs one buffer.

The end of one side's bytes (FIN) is passed on behind them. `os.splice` through pipes was measured beside this, on
loopback and two cores: it took 0.24 to 0.27 s of CPU per GB instead of 0.28, but reached 0.50 to 0.59 of a raw pair's
rate where this reached 0.64, and it costs six descriptors more per relay.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from rendezvous_server.effects import Outcome

# Beside copying, a relay costs wakeups of three processes, so large buffers are fast: half the CPU per byte of buffers
# of 64 KiB. So many of them, 64 MiB in all, may wait for slow readers; further ones get small buffers.
LARGE_BUFFER_BYTES = 1024 * 1024
MAX_LARGE_BUFFERS = 64
SMALL_BUFFER_BYTES = 64 * 1024
SPARE_BUFFERS = 4  # kept for the next slow reader, so that memory comes back after many

CallSoon = Callable[[Callable[[], None]], object]


class SplicedConnection(Protocol):
    """Describes a client's connection as its end of the relay uses it."""

    @property
    def transport(self) -> asyncio.Transport: ...
    @property
    def outcome(self) -> Outcome | None:
        """Says how it ends, once that is decided. From then on none of its bytes is passed on."""

    def carried(self, size: int) -> None:
        """Takes note that `size` of its bytes were passed on."""

    def relay_ended(self) -> None:
        """Takes note that both clients have ended, and that all that they sent is on its way."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Takes note that the transport is closed, as in asyncio."""


class BufferPool:
    """Lends buffers to the ends whose bytes wait for a slow reader. All others read into `current`."""

    def __init__(self) -> None:
        self.current = bytearray(LARGE_BUFFER_BYTES)
        self._spare: list[bytearray] = []
        self._large = 1

    def keep(self) -> bytearray:
        """Returns the current buffer, which is the caller's until `give_back`, and makes another one current."""
        kept = self.current
        if self._spare:
            self.current = self._spare.pop()
        elif self._large < MAX_LARGE_BUFFERS:
            self._large += 1
            self.current = bytearray(LARGE_BUFFER_BYTES)
        else:
            self.current = bytearray(SMALL_BUFFER_BYTES)
        return kept

    def give_back(self, buffer: bytearray) -> None:
        """Takes back a buffer that `keep` returned."""
        if len(buffer) == SMALL_BUFFER_BYTES:
            return
        if len(self.current) == SMALL_BUFFER_BYTES:
            self.current = buffer
        elif len(self._spare) < SPARE_BUFFERS:
            self._spare.append(buffer)
        else:
            self._large -= 1


class RelayEnd(asyncio.BufferedProtocol):
    """Reads from one client of a relay and writes to the other, in the place of the Connection that asked for it."""

    __slots__ = ("_buffers", "_call_soon", "_connection", "_ended", "_kept", "_lost", "_partner", "_transport")

    _partner: "RelayEnd"

    def __init__(self, connection: SplicedConnection, buffers: BufferPool, call_soon: CallSoon) -> None:
        self._connection = connection
        self._transport = connection.transport
        self._buffers = buffers
        self._call_soon = call_soon
        self._kept: bytearray | None = None  # holds bytes that the partner's socket did not take yet
        self._ended = False  # has sent all that it will ever send
        self._lost = False  # its transport is closed, and calls no more

    # Called by the transport. It reads right after `get_buffer`, as all loops on Unix do: no two ends read at a time.

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._buffers.current

    def buffer_updated(self, nbytes: int) -> None:
        out = self._partner._transport
        if self._connection.outcome is not None or out.is_closing():
            return
        buffer = self._buffers.current
        out.write(memoryview(buffer)[:nbytes])
        if out.get_write_buffer_size():
            self._kept = self._buffers.keep()
        elif nbytes == len(buffer):
            # There is more, which uvloop would read at once, up to 32 times: everybody else has a turn before that.
            self._transport.pause_reading()
            self._call_soon(self._read_on)
        self._connection.carried(nbytes)

    def _read_on(self) -> None:
        """Reads, unless the partner must take something first. An end that has ended would get a second EOF."""
        if self._kept is None and not self._ended and not self._transport.is_closing():
            self._transport.resume_reading()

    def eof_received(self) -> bool:
        if self._connection.outcome is not None or self._partner._transport.is_closing():
            return False
        self._ended = True
        self._partner._transport.write_eof()
        if self._partner._ended:
            self._connection.relay_ended()
        return True  # the other way may go on

    def pause_writing(self) -> None:
        """The partner has sent more than this socket takes."""
        if not self._partner._transport.is_closing():
            self._partner._transport.pause_reading()

    def resume_writing(self) -> None:
        self._partner._give_back()
        self._partner._read_on()

    def connection_lost(self, exc: Exception | None) -> None:
        self.resume_writing()  # what this socket has not taken, nobody takes any more
        self._connection.connection_lost(exc)
        self._lost = True
        if self._partner._lost:
            # The ends hold each other. The server collects garbage so rarely that thousands of pairs would stay.
            del self._partner._partner, self._partner

    def begin(self, partner: "RelayEnd") -> None:
        """Takes the transport over from the Connection."""
        self._partner = partner
        self._transport.pause_reading()
        self._transport.set_protocol(self)
        self._transport.resume_reading()
        self._transport.set_write_buffer_limits(high=0)  # the partner pauses as soon as anything is left over

    def _give_back(self) -> None:
        if self._kept is not None:
            self._buffers.give_back(self._kept)
            self._kept = None


def splice(first: SplicedConnection, second: SplicedConnection, buffers: BufferPool, call_soon: CallSoon) -> None:
    """Passes on to the other what either sends from now on. Both know it already. `call_soon` is the event loop's."""
    one, other = (RelayEnd(connection, buffers, call_soon) for connection in (first, second))
    one.begin(other)
    other.begin(one)
