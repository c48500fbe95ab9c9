"""An encrypted connection to one peer that carries frames (frames.py) over a connected TCP socket.

`pump_out` and `pump_in` move what can be moved now and never wait, for callers that watch many channels. `await_out`
and `await_in` let the kernel wait for the next bytes, for PATIENCE_S at most. That is one system call instead of two,
and one wake-up for all of a large payload. The end of a connection raises nothing, and is kept in `ended` instead. So
frames which came before it are still handed out.
"""

import socket
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lambda_image.comm.channel.frame_reader import DEFAULT_MAX_PAYLOAD, STAGING_BYTES, FrameReader
from lambda_image.comm.channel.frame_writer import FrameWriter
from lambda_image.comm.channel.frames import HEADER_BYTES, FrameRefused, Header
from lambda_image.comm.channel.handshake import Member, Session
from lambda_image.comm.channel.memory import Memory
from lambda_image.comm.channel.sealing import SEALED, SealedValue, Sealing
from lambda_image.comm.channel.signals import ABORT
from lambda_image.comm.channel.values import NO_VALUE, Value, allocate, encode

# Bytes read and dropped on close: unread ones would make the kernel reset what the peer still reads.
DRAIN_ON_CLOSE = 1 << 20
PATIENCE_S = (
    0.01  # that the kernel waits in one call, to which it may add three of its ticks: so long nothing else is noticed
)
_PATIENCE = struct.pack("ll", 0, round(1e6 * PATIENCE_S))  # a timeval
_NO_VALUE_ENCODED = encode(NO_VALUE)
_NOW = socket.MSG_DONTWAIT


@dataclass(frozen=True, slots=True)
class ChannelSettings:
    """Says how a rank's channels are to be.

    Attributes:
        encrypted: Whether frames are encrypted and prove their sender. Channels do without where both ends ask for it,
            which only benchmarks of the bare transport should.
        max_payload: The largest value to receive, in bytes. A larger one ends the channel before memory is taken.
        max_segment: The largest TCP segment in bytes, for paths that lose large ones. None leaves it to the route.
    """

    encrypted: bool = True
    max_payload: int = DEFAULT_MAX_PAYLOAD
    max_segment: int | None = None


@dataclass(frozen=True, slots=True)
class OutBuffer:
    """A caller's own buffer, which is filled if a value of just its form comes."""

    value: Value
    meta: bytes
    view: memoryview

    @classmethod
    def of(cls, value: Value) -> "OutBuffer":
        meta, views = encode(value)
        return cls(value, meta, views[0] if views else memoryview(bytearray()))


class Channel:
    """One end of a connection between two ranks, for one thread at a time."""

    def __init__(
        self,
        sock: socket.socket,
        session: Session,
        own: Member,
        *,
        transport: str = "direct",
        connect_s: float = 0.0,
        settings: ChannelSettings | None = None,
        memory: Memory | None = None,
        sealing: Sealing | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        settings = settings or ChannelSettings()
        sock.settimeout(None)  # it waits, but for calls that say _NOW
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            sock.setsockopt(socket.SOL_SOCKET, option, _PATIENCE)
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock = sock
        self._clock = clock
        self._memory = memory or Memory()  # for arrays that come
        self._writer = FrameWriter(session.send_key)
        self._reader = FrameReader(
            session.receive_key,
            allocate=self._allocate,
            max_payload=settings.max_payload,
            sealing=None if sealing is None else (sealing, session.peer),
        )
        self._reader.places = False
        self.max_payload = settings.max_payload
        self.frames = self._reader.frames  # that have come and were not taken, the oldest first
        self._out_buffers: Sequence[OutBuffer | None] = ()  # for the operation's next frames
        self._out_buffers_for: tuple[int, int] | None = None  # which operation that is, and its kind
        self._allocated = 0  # frames that have come for these buffers
        self.own = own
        self.peer = session.peer
        self.encrypted = session.send_key is not None
        self.transport = transport  # direct, punched or relayed
        self.connect_s = connect_s  # what it took to make it
        self.same_host = transport == "direct" and _is_of_this_host(sock)
        self.bytes_sent = 0
        self.bytes_received = 0
        self.moved_at = clock()  # when bytes last went either way
        self.ended: str | None = None  # why nothing more will come or go
        self.refused = False  # it ended because of bytes that were not the peer's next frame

    def fileno(self) -> int:
        return self._sock.fileno()

    def push(self, operation: int, kind: int, flags: int, value: Value | SealedValue) -> int:
        """Queue a frame for `pump_out`; it has gone when `gone(ticket)`. The value must not change until then."""
        if isinstance(value, SealedValue):
            if self.encrypted and value.can_be_sent:
                return self._writer.push_sealed(value)
            value, flags = value.value, flags & ~SEALED
        meta, payload = encode(value)
        return self._writer.push(operation, kind, flags, meta, payload)

    def post(self, operation: int, kind: int, flags: int, value: Value | SealedValue) -> int:
        """Queue a frame and send what the kernel takes now; 0 if it has gone, otherwise its ticket."""
        if isinstance(value, SealedValue):
            ticket = self.push(operation, kind, flags, value)
            self.pump_out()
            return 0 if self.gone(ticket) else ticket
        meta, payload = encode(value) if value is not NO_VALUE else _NO_VALUE_ENCODED
        writer = self._writer
        if self.ended is None and (data := writer.push_whole(operation, kind, flags, meta, payload)):
            try:
                count = self._sock.send(data, _NOW)
            except BlockingIOError:
                return writer.pushed
            except OSError as error:
                self._end_for(error)
                return writer.pushed
            self.bytes_sent += count
            self.moved_at = self._clock()
            if count == len(data):
                writer.sent_whole()
                return 0
            writer.sent(count)
            return writer.pushed
        ticket = writer.push(operation, kind, flags, meta, payload)
        self.pump_out()
        return ticket if writer.completed < ticket else 0

    def gone(self, ticket: int) -> bool:
        return self._writer.completed >= ticket

    @property
    def sending(self) -> bool:
        return not self._writer.idle

    def give_up_sending(self, reason: str) -> None:
        """Take back what is queued. A frame that is partly sent cannot be: then the channel ends here."""
        if self._writer.mid_frame:
            self.end(reason)
        else:
            self._writer.drop_unbegun()

    def pump_out(self) -> None:
        """Send until everything queued has gone, or the kernel takes no more, or the connection ends."""
        while self._send(_NOW):
            pass

    def await_out(self) -> bool:
        """Send the next of what is queued, for which the kernel may wait. Returns whether anything went."""
        before = self.bytes_sent
        self._send(0)
        return self.bytes_sent != before

    def pump_in(self) -> None:
        """Receive until a frame is there, or nothing more has come, or the connection ends."""
        while not self.frames and self._receive(_NOW):
            pass

    def await_in(self) -> bool:
        """Receive what comes next, for which the kernel may wait: a frame, or the head of a large one, or more of that.

        Returns whether just that came, in time.
        """
        reader = self._reader
        if reader.mid_frame:
            was_begun = reader.unfinished is not None
            whole = self._receive(socket.MSG_WAITALL if was_begun else 0)
            return whole or bool(self.frames) or (reader.unfinished is not None and not was_begun)
        try:
            data = self._sock.recv(STAGING_BYTES)
            if data:
                self.bytes_received += len(data)
                self.moved_at = self._clock()
                reader.feed(data)
            else:
                self.end("closed the connection")
        except BaseException as error:
            self._end_unless_late(error)
            return False
        return bool(self.frames) or reader.unfinished is not None

    def _send(self, how: int) -> bool:
        """Send once. Returns whether the kernel took all that there was, and there is more."""
        writer = self._writer
        if self.ended is not None or not (views := writer.buffers()):
            return False
        try:
            count = self._sock.send(views[0], how) if len(views) == 1 else self._sock.sendmsg(views, (), how)
        except BlockingIOError:
            return False
        except OSError as error:
            self._end_for(error)
            return False
        self.bytes_sent += count
        self.moved_at = self._clock()
        return writer.sent(count)

    def _receive(self, how: int) -> bool:
        """Receive once. Returns whether there may be more."""
        if self.ended is not None:
            return False
        reader = self._reader
        room = reader.buffer()
        try:
            count = self._sock.recv_into(room, 0, how)
            if count:
                self.bytes_received += count
                self.moved_at = self._clock()
                reader.received(count)
            else:
                self.end("closed the connection" + (" in the middle of a frame" if reader.mid_frame else ""))
        except BaseException as error:
            self._end_unless_late(error)
            return False
        return count == len(room)

    def _end_for(self, error: FrameRefused | OSError) -> None:
        if isinstance(error, FrameRefused):
            self.refused = True
            self.end(f"sent bytes that cannot be trusted: {error}")
        else:
            self.end(f"closed the connection ({error.strerror})")

    def _end_unless_late(self, error: BaseException) -> None:
        """What an attempt to receive has raised. It is raised on where it came from this side."""
        if isinstance(error, BlockingIOError):
            return
        if isinstance(error, FrameRefused | OSError):
            self._end_for(error)
            return
        # Bytes may have come of which nothing is noted, and without them what follows makes no sense.
        self.end(f"was given up, because receiving was interrupted ({type(error).__name__})")
        raise error

    def next_is_abort(self) -> bool:
        """Whether what comes next looks like the end of an operation; nothing is received by asking."""
        if self.frames or self._reader.mid_frame:
            return bool(self.frames) and bool(self.frames[0].header.flags & ABORT)
        try:
            head = self._sock.recv(HEADER_BYTES, socket.MSG_PEEK | _NOW)
        except OSError:
            return False
        return len(head) == HEADER_BYTES and bool(Header.unpack(head).flags & ABORT)

    def post_out_buffers(self, operation: int, kind: int, out_buffers: Sequence[OutBuffer | None]) -> None:
        """Where the next values of an operation are to be put, in order, if they suit."""
        self._out_buffers, self._out_buffers_for = out_buffers, (operation, kind)
        self._reader.places = True
        early = [frame.header for frame in self._reader.frames]  # some may have found another place already
        if self._reader.unfinished is not None:
            early.append(self._reader.unfinished[0])
        self._allocated = sum(header[:2] == self._out_buffers_for for header in early)

    def withdraw_out_buffers(self) -> None:
        """Use the buffers of `post_out_buffers` no more, not even one that is half filled."""
        if self._out_buffers_for is not None:
            unfinished = self._reader.unfinished
            if unfinished is not None and any(buffer and buffer.value is unfinished[1] for buffer in self._out_buffers):
                self._reader.leave(_fresh)
            self._out_buffers, self._out_buffers_for = (), None
            self._reader.places = False

    def _allocate(self, header: Header, meta: bytes) -> tuple[Value, memoryview]:
        if self._out_buffers_for is not None and header[:2] == self._out_buffers_for and not header.flags & ABORT:
            number, self._allocated = self._allocated, self._allocated + 1
            buffer = self._out_buffers[number] if number < len(self._out_buffers) else None
            if buffer is not None and meta == buffer.meta and header.length == buffer.view.nbytes:
                return buffer.value, buffer.view
        return allocate(meta, header.length, self._memory.empty)

    def end(self, reason: str) -> None:
        if self.ended is None:
            self.ended = reason
            self._sock.close()
        self._writer.release()  # also of what was queued since: nothing more goes

    def close(self) -> None:
        """Say that nothing more will come (what was sent still arrives) and free the socket."""
        if self.ended is not None:
            return
        try:
            self._sock.shutdown(socket.SHUT_WR)
            for _ in range(0, DRAIN_ON_CLOSE, 1 << 16):
                if not self._sock.recv(1 << 16, _NOW):
                    break
        except OSError:
            pass
        self.end("was left: this side closed the channel")


def _is_of_this_host(sock: socket.socket) -> bool:
    try:
        return sock.family == socket.AF_UNIX or sock.getsockname()[0] == sock.getpeername()[0]
    except OSError:  # it has ended by now
        return False


def _fresh(header: Header, meta: bytes) -> tuple[Value, memoryview]:
    return allocate(meta, header.length)
