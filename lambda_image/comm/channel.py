"""An authenticated, framed connection to one peer: frames.py on a connected TCP socket, with a deadline on every wait.

The socket is non-blocking. `pump_out` and `pump_in` move what can be moved now, for callers that watch many channels
(exchange.py); `send` and `receive` wait for one. A connection's end never raises in a pump: it is kept in `ended`, so
that frames which came before it are still handed out.
"""

import select
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from lambda_image.comm.frames import DEFAULT_MAX_PAYLOAD, Frame, FrameReader, FrameRefused, FrameWriter
from lambda_image.comm.handshake import Member, Session
from lambda_image.comm.values import Value, allocate, encode
from lambda_image.errors import PeerClosed, PeerTimeout, RunError

DRAIN_ON_CLOSE = (
    1 << 20
)  # bytes read and dropped on close: unread ones would make the kernel reset what the peer still reads


@dataclass(frozen=True, slots=True)
class ChannelSettings:
    tags: bool = True  # off only where both ends say so: benchmarks of the bare transport
    max_payload: int = DEFAULT_MAX_PAYLOAD  # bytes of one frame; larger ones are refused before memory is taken


@dataclass(frozen=True, slots=True)
class Where:
    """Who waits for whom, in what, since when: the facts that every error of an operation carries."""

    rank: int
    phase: str
    began: float  # monotonic seconds

    def error(self, kind: type[RunError], peer: int, reason: str, now: float, **details: object) -> RunError:
        elapsed = now - self.began
        return kind(
            f"rank {self.rank}, {self.phase}: rank {peer} {reason} ({elapsed:.1f} s after its start)",
            rank=self.rank,
            peer=peer,
            phase=self.phase,
            elapsed_s=round(elapsed, 3),
            reason=reason,
            **details,
        )


class Channel:
    """One end. Used by one thread at a time; `transport` is direct, punched or relayed, `connect_s` what it took."""

    def __init__(
        self,
        sock: socket.socket,
        session: Session,
        own: Member,
        *,
        transport: str = "direct",
        connect_s: float = 0.0,
        settings: ChannelSettings | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        settings = settings or ChannelSettings()
        sock.setblocking(False)
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock = sock
        self._clock = clock
        self._writer = FrameWriter(session.send_key)
        self._reader = FrameReader(session.receive_key, allocate=allocate, max_payload=settings.max_payload)
        self.own = own
        self.peer = session.peer
        self.tags = session.send_key is not None
        self.transport = transport
        self.connect_s = connect_s
        self.bytes_sent = 0
        self.bytes_received = 0
        self.moved_at = clock()  # when bytes last went either way
        self.ended: str | None = None  # why nothing more will come or go
        self.refused = False  # it ended because of bytes that were not the peer's next frame

    def fileno(self) -> int:
        return self._sock.fileno()

    def push(self, operation: int, kind: int, flags: int, value: Value) -> int:
        """Queue a frame for `pump_out`; it has gone when `gone(ticket)`. The value must not change until then."""
        meta, payload = encode(value)
        return self._writer.push(operation, kind, flags, meta, payload)

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

    @property
    def frame(self) -> Frame | None:
        """The oldest frame that has come and was not taken."""
        return self._reader.frames[0] if self._reader.frames else None

    def take(self) -> Frame:
        return self._reader.frames.popleft()

    def pump_out(self) -> None:
        """Send until everything queued has gone, or the kernel takes no more, or the connection ends."""
        try:
            while self.ended is None and (views := self._writer.buffers()):
                count = self._sock.sendmsg(views)
                self._writer.sent(count)
                self.bytes_sent += count
                self.moved_at = self._clock()
        except BlockingIOError:
            pass
        except OSError as error:
            self.end(f"closed the connection ({error.strerror})")

    def pump_in(self) -> None:
        """Receive until a frame is there, or nothing more has come, or the connection ends."""
        try:
            while self.ended is None and not self._reader.frames:
                count = self._sock.recvmsg_into(self._reader.buffers())[0]
                if not count:
                    self.end("closed the connection" + (" in the middle of a frame" if self._reader.mid_frame else ""))
                    return
                self.bytes_received += count
                self.moved_at = self._clock()
                self._reader.received(count)
        except BlockingIOError:
            pass
        except FrameRefused as error:
            self.refused = True
            self.end(f"sent bytes that cannot be trusted: {error}")
        except OSError as error:
            self.end(f"closed the connection ({error.strerror})")

    def end(self, reason: str) -> None:
        if self.ended is None:
            self.ended = reason
            self._sock.close()

    def close(self) -> None:
        """Say that nothing more will come (what was sent still arrives) and free the socket."""
        if self.ended is not None:
            return
        try:
            self._sock.shutdown(socket.SHUT_WR)
            for _ in range(0, DRAIN_ON_CLOSE, 1 << 16):
                if not self._sock.recv(1 << 16):
                    break
        except OSError:
            pass
        self.end("was left: this side closed the channel")

    def send(self, value: Value, *, deadline: float, phase: str = "send") -> None:
        """Send one value. Raises PeerTimeout, PeerClosed."""
        where = Where(self.own.rank, phase, self._clock())
        ticket = self.push(0, 0, 0, value)
        self.pump_out()
        while not self.gone(ticket):
            try:
                self._wait(select.POLLOUT, deadline, where)
            except PeerTimeout:
                self.give_up_sending("was given up: a frame to it could not be sent in time")
                raise
            self.pump_out()

    def receive(self, *, deadline: float, phase: str = "receive") -> Value:
        """The next value. Raises PeerTimeout, PeerClosed."""
        where = Where(self.own.rank, phase, self._clock())
        self.pump_in()
        while self.frame is None:
            self._wait(select.POLLIN, deadline, where)
            self.pump_in()
        value = self.take().value
        assert isinstance(value, Value)
        return value

    def _wait(self, events: int, deadline: float, where: Where) -> None:
        now = self._clock()
        if self.ended is not None:
            raise where.error(PeerClosed, self.peer.rank, self.ended, now, attempt=self.peer.attempt)
        if now >= deadline:
            raise where.error(PeerTimeout, self.peer.rank, "did not answer by the deadline", now)
        poll = select.poll()
        poll.register(self, events)
        poll.poll(max(1, (deadline - now) * 1000))
