"""One operation's transfers with any number of peers, all in flight together, in the caller's thread.

Collectives say what goes to whom and what is due from whom; `run` moves it over whichever channels are ready, so that a
slow peer delays nobody else's data, and under one deadline. A transfer with a peer begins when its channel is there;
from its first byte on it is bound to that attempt of the peer.
"""

import math
import select
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from lambda_image.comm.channel import Channel, Where
from lambda_image.comm.frames import Frame
from lambda_image.comm.roster import Lost, Peer, Ready, Roster, outlook
from lambda_image.comm.signals import Flag, Kind, abort_payload, name_of, parse_abort
from lambda_image.comm.values import Value
from lambda_image.comm.wakeup import Wakeup
from lambda_image.errors import PeerClosed, PeerTimeout, RunError

ABORT_LIMIT_S = 1.0  # to tell the others that an operation has failed; each of them has its own deadline besides
LONGEST_POLL_MS = 3_600_000  # poll takes a C int


@dataclass(slots=True)
class _Line:
    """What is still to be done with one peer."""

    rank: int
    peer: Peer | None = None
    channel: Channel | None = None  # the one in use
    watched: int | None = None  # its file descriptor, while the poll watches it
    until: float = 0.0  # when the outlook changes by itself
    out: deque[tuple[Value, Flag]] = field(default_factory=deque)  # not pushed yet
    ticket: int = 0  # of the last frame pushed
    due: int = 0  # frames to receive
    touched: bool = False  # something of this operation was sent, or anything received

    @property
    def done(self) -> bool:
        return not self.due and not self.out and (self.channel is None or self.channel.gone(self.ticket))


class Exchange:
    """`received` and `failed` fill, by rank, while `run` runs.

    As a context manager it tells the ranks of `tell` when its body raises: they fail with the same reason instead of
    waiting for their own deadlines.
    """

    def __init__(
        self,
        roster: Roster,
        wakeup: Wakeup,
        *,
        rank: int,
        operation: int,
        kind: Kind,
        deadline: float,
        tell: Iterable[int] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._roster = roster
        self._wakeup = wakeup
        self._stamp = (operation, int(kind))
        self._deadline = deadline
        self._tell = tell
        self._clock = clock
        self._where = Where(rank, kind.name.lower(), clock())
        self._lines: dict[int, _Line] = {}
        self._active: set[int] = set()  # ranks whose lines are not done
        self._due_now: set[int] = set()  # ranks whose lines may be able to move
        self._aborting = False
        self._poll = select.poll()
        self._poll.register(wakeup, select.POLLIN)
        self._watched: dict[int, int] = {}  # rank by file descriptor
        self.patient = False  # whether a newer attempt may still bring what a lost one has not
        self.on_received: Callable[[int], None] | None = None  # called with a rank as soon as its frame is complete
        self.received: dict[int, list[Value]] = {}  # in order of arrival
        self.failed: dict[int, RunError] = {}

    def send(self, rank: int, value: Value = b"", flags: Flag = Flag.NONE) -> None:
        self._line(rank).out.append((value, flags))

    def receive(self, rank: int) -> None:
        self._line(rank).due += 1

    def run(self, *, tolerant: bool = False) -> None:
        """Until everything is sent and received, or has failed. A failure is raised; if `tolerant`, left in `failed`.

        Raises PeerClosed, PeerTimeout, PeerUnreachable, or why the rendezvous does not announce the peer; and whatever
        happens, RendezvousRejected when a newer attempt of this very rank has taken its place.
        """
        news = self._wakeup.fileno()
        while True:
            if self._roster.dismissed is not None and not self._aborting:
                raise self._roster.dismissed
            while self._due_now:
                rank = self._due_now.pop()
                self._advance(self._lines[rank])
                if rank in self.failed and not tolerant:
                    raise self.failed[rank]
            if not self._active:
                return
            until = min(self._deadline, min(self._lines[rank].until for rank in self._active))
            wait_ms = max(0.0, (until - self._clock()) * 1000) + 1  # a millisecond later it has passed for certain
            ready = [fd for fd, _ in self._poll.poll(min(wait_ms, LONGEST_POLL_MS))]
            if not ready or news in ready:
                self._wakeup.clear()
                self._due_now = set(self._active)
            else:
                self._due_now = {self._watched[fd] for fd in ready}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Exception):
            self._abort(error)
        elif error is not None:
            for line in self._lines.values():
                if line.channel is not None:
                    line.channel.give_up_sending("was given up: the operation was interrupted")

    def _abort(self, error: Exception) -> None:
        """End the operation everywhere. Frames that are on their way are finished, so that channels stay usable."""
        self._aborting = True
        self._deadline = self._clock() + ABORT_LIMIT_S
        for line in self._lines.values():
            line.due = 0
            line.out.clear()
        words = abort_payload(error)
        for rank in self._tell:
            peer = self._roster.at(rank)
            if rank not in self.failed and peer is not None and peer.channel is not None:
                self.send(rank, words, Flag.ABORT)
        self._due_now = set(self._active)
        self.run(tolerant=True)

    def _line(self, rank: int) -> _Line:
        line = self._lines.setdefault(rank, _Line(rank, self._roster.at(rank)))
        self._active.add(rank)
        self._due_now.add(rank)
        return line

    def _advance(self, line: _Line) -> None:
        """Everything that can be done with this peer now."""
        now = self._clock()
        if not line.touched or self._awaits_another(line):  # then a newer attempt may take the former one's place
            current = self._roster.at(line.rank)
            if line.peer is not current:
                self._unwatch(line)
                line.peer, line.channel, line.touched = current, None, False
        if line.peer is not None and line.peer.channel is not None:
            line.channel = line.peer.channel
            self._pump(line, line.channel)
        view = outlook(line.peer, self._roster.failure, now)  # after pumping, which may have met the channel's end
        if line.done:
            self._finish(line)
        elif isinstance(view, Lost) and self._awaits_another(line) and view.kind is PeerClosed and now < self._deadline:
            self._unwatch(line)
            line.until = math.inf
        elif isinstance(view, Lost):
            error = self._where.error(view.kind, line.rank, view.reason, now)
            error.__cause__ = view.cause
            self._fail(line, error)
        elif now >= self._deadline:
            self._fail(line, self._where.error(PeerTimeout, line.rank, f"{_overdue(line)} by the deadline", now))
        else:
            line.until = view.until
            if isinstance(view, Ready):
                self._watch(line, view.channel)

    def _awaits_another(self, line: _Line) -> bool:
        """Whether it would do for a newer attempt of this rank to send it all again."""
        return self.patient and line.rank not in self.received and self._roster.failure is None

    def _pump(self, line: _Line, channel: Channel) -> None:
        """Move frames between the line and its channel until neither side can go on."""
        before = channel.bytes_received
        while True:
            while line.out:
                value, flags = line.out.popleft()
                line.ticket = channel.push(*self._stamp, flags, value)
                line.touched = True
            if channel.sending:
                channel.pump_out()
            if not line.due:
                return
            channel.pump_in()
            line.touched = line.touched or channel.bytes_received != before
            if channel.frame is None:
                return
            self._match(line, channel, channel.frame)

    def _match(self, line: _Line, channel: Channel, frame: Frame) -> None:
        """Take the frame that is due, drop one that comes too late, and fail (leaving it) if the peer is ahead."""
        header = frame.header
        there = (header.operation, header.kind)
        if there < self._stamp and (there[0] < self._stamp[0] or self._stamp[1] == Kind.SEND):
            channel.take()  # of an operation that has ended here without it
        elif there != self._stamp:
            reason = f"is at operation {name_of(*there)} while this rank is at {name_of(*self._stamp)}"
            self._refuse(line, self._error(PeerClosed, line.rank, reason))
        elif header.flags & Flag.ABORT:
            channel.take()
            self._refuse(line, self._told(line.rank, frame))
        else:
            channel.take()
            line.due -= 1
            assert isinstance(frame.value, Value)
            self.received.setdefault(line.rank, []).append(frame.value)
            if self.on_received is not None:
                self.on_received(line.rank)

    def _refuse(self, line: _Line, error: RunError) -> None:
        """Expect nothing more of this peer; a frame that is on its way to it is still finished."""
        self.failed[line.rank] = error
        line.due = 0
        line.out.clear()

    def _told(self, by: int, frame: Frame) -> RunError:
        """The failure that an aborting peer reports, as an error of this rank."""
        said = parse_abort(frame.value)
        if said.peer is not None and said.peer != self._where.rank:
            return self._error(said.kind, said.peer, f"{said.reason} (as rank {by} says)")
        return self._error(PeerClosed, by, f"has given up: {said.reason}")

    def _watch(self, line: _Line, channel: Channel) -> None:
        events = (select.POLLIN if line.due else 0) | (select.POLLOUT if channel.sending else 0)
        line.watched = channel.fileno()
        self._watched[line.watched] = line.rank
        self._poll.register(line.watched, events)

    def _unwatch(self, line: _Line) -> None:
        if line.watched is not None:
            del self._watched[line.watched]
            self._poll.unregister(line.watched)
            line.watched = None

    def _finish(self, line: _Line) -> None:
        self._active.discard(line.rank)
        self._unwatch(line)
        line.ticket = 0

    def _fail(self, line: _Line, error: RunError) -> None:
        self.failed.setdefault(line.rank, error)
        if line.channel is not None:
            line.channel.give_up_sending(f"was given up in {self._where.phase}: it did not take a frame in time")
        self._finish(line)

    def _error(self, kind: type[RunError], peer: int, reason: str) -> RunError:
        return self._where.error(kind, peer, reason, self._clock())


def _overdue(line: _Line) -> str:
    if line.peer is None:
        return "had not joined"
    if line.channel is None:
        return "had joined but not connected"
    return "had not sent its part" if line.due else "had not taken what was sent"
