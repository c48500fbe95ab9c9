"""One operation's transfers with any number of peers, all in flight together, in the caller's thread.

Collectives say what goes to whom and what is due from whom; `run` moves it over whichever channels are ready, so that a
slow peer delays nobody else's data, and under one deadline. A transfer with a peer begins when its channel is there;
from its first byte on it is bound to that attempt of the peer.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self, cast

from lambda_image.comm.channel import Channel, Room, Where
from lambda_image.comm.frames import Frame
from lambda_image.comm.roster import Lost, Peer, Ready, Roster, outlook
from lambda_image.comm.signals import Flag, Kind, abort_payload, name_of, parse_abort
from lambda_image.comm.values import Value
from lambda_image.comm.wakeup import Wakeup
from lambda_image.comm.watch import Watch
from lambda_image.errors import PeerClosed, PeerTimeout, RunError

ABORT_LIMIT_S = 1.0  # to tell the others that an operation has failed; each of them has its own deadline besides

_ABORT = int(Flag.ABORT)  # as enumerations are slow to compare, and this is asked of every frame


@dataclass(slots=True, eq=False)
class _Line:
    """What is still to be done with one peer."""

    rank: int
    peer: Peer | None = None
    channel: Channel | None = None  # the one in use
    out: list[tuple[Value, int]] = field(default_factory=list)  # not pushed yet
    ticket: int = 0  # of the last frame pushed
    due: int = 0  # frames to receive
    rooms: list[Room | None] = field(default_factory=list)  # for the frames due since the first that got one
    lent: bool = False  # whether the channel knows of them
    touched: bool = False  # something of this operation was sent, or anything received


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
        self._stamp = (operation, int(kind))
        self._deadline = deadline
        self.tell = tell  # ranks that hear of a failure here
        self._clock = clock
        self._rank, self._kind, self._began = rank, kind, clock()
        self._lines: dict[int, _Line] = {}
        self._active: set[int] = set()  # ranks whose lines are not done
        self._due_now: set[int] = set()  # ranks whose lines may be able to move
        self._aborting = False
        self._watch = Watch(wakeup)
        self._turns: dict[int, float] = {}  # when the outlook of a rank changes by itself, where it does
        self.attentive = False  # whether failures are heard also of ranks from which nothing is due any more
        self.patient = False  # whether a newer attempt may still bring what a lost one has not
        # Called with rank, value and flags as soon as a frame is complete.
        self.on_received: Callable[[int, Value, int], None] | None = None
        self.received: dict[int, list[Value]] = {}  # in order of arrival
        self.failed: dict[int, RunError] = {}

    def send(self, rank: int, value: Value = b"", flags: int = 0) -> None:
        self._line(rank).out.append((value, flags))

    def receive(self, rank: int, out: Value | None = None) -> None:
        """One more value is due from this rank: `out` itself, if that has the value's form and was given in time."""
        line = self._line(rank)
        if out is not None and not line.rooms:
            line.rooms = [None] * line.due
        if out is not None or line.rooms:
            line.rooms.append(None if out is None else Room.of(out))
        line.due += 1

    def run(self, *, tolerant: bool = False) -> None:
        """Until everything is sent and received, or has failed. A failure is raised; if `tolerant`, left in `failed`.

        Raises PeerClosed, PeerTimeout, PeerUnreachable, or why the rendezvous does not announce the peer; and whatever
        happens, RendezvousRejected when a newer attempt of this very rank has taken its place.
        """
        while True:
            if self._roster.dismissed is not None and not self._aborting:
                raise self._roster.dismissed
            while self._due_now:
                rank = self._due_now.pop()
                self._advance(self._lines[rank])
                if not tolerant and rank in self.failed:
                    raise self.failed[rank]
            if not self._active:
                return
            until = min(self._deadline, *self._turns.values()) if self._turns else self._deadline
            ready = self._watch.wait(until - self._clock())
            self._due_now = set(self._active) if ready is None else ready

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Exception):
            self._abort(error)
        self._watch.close()
        for line in self._lines.values():
            if line.channel is not None:
                line.channel.take_back()
                if error is not None and not isinstance(error, Exception):
                    line.channel.give_up_sending("was given up: the operation was interrupted")

    def _abort(self, error: Exception) -> None:
        """End the operation everywhere. Frames that are on their way are finished, so that channels stay usable."""
        self._aborting = True
        self._deadline = self._clock() + ABORT_LIMIT_S
        for line in self._lines.values():
            line.due = 0
            line.out.clear()
        words = abort_payload(error)
        for rank in self.tell:
            peer = self._roster.at(rank)
            if rank not in self.failed and peer is not None and peer.channel is not None:
                self.send(rank, words, Flag.ABORT)
        self._due_now = set(self._active)
        self.run(tolerant=True)

    def _line(self, rank: int) -> _Line:
        line = self._lines.get(rank)
        if line is None:
            line = self._lines[rank] = _Line(rank, self._roster.at(rank))
        self._active.add(rank)
        self._due_now.add(rank)
        return line

    def _advance(self, line: _Line) -> None:
        """Everything that can be done with this peer now."""
        if line.rank not in self._active:
            self._listen(line)
            return
        peer = self._roster.at(line.rank)
        if line.peer is not peer:
            peer = self._renewed(line, peer)
        channel = None if peer is None else peer.channel
        now = self._clock()
        if channel is not None:
            line.channel = channel
            # What has just begun waits for the poll: a look at one empty socket costs as much as that at all of them.
            look = line.rank in self._watch or now >= self._deadline or peer.gone is not None  # type: ignore[union-attr]
            self._pump(line, channel, look=look)
            if not line.due and not line.out and channel.gone(line.ticket):
                self._finish(line)
            elif channel.ended is None and peer.gone is None and now < self._deadline:  # type: ignore[union-attr]
                self._turns.pop(line.rank, None)
                self._watch.add(line.rank, channel, receiving=line.due > 0)
            else:
                self._judge(line, now)
        elif line.due or line.out or line.ticket:
            self._judge(line, now)
        else:
            self._finish(line)

    def _renewed(self, line: _Line, current: Peer | None) -> Peer | None:
        """The attempt that the line is for: a newer one takes the former one's place as long as nothing was moved."""
        if not line.touched or self._awaits_another(line):
            self._watch.drop(line.rank)
            line.peer, line.channel, line.touched, line.lent = current, None, False, False
        return line.peer

    def _judge(self, line: _Line, now: float) -> None:
        """Wait on for a peer with which something is the matter, or give it up."""
        view = outlook(line.peer, self._roster.failure, now)
        self._turns.pop(line.rank, None)
        if isinstance(view, Lost) and self._awaits_another(line) and view.kind is PeerClosed and now < self._deadline:
            self._watch.drop(line.rank)
        elif isinstance(view, Lost):
            error = self._error(view.kind, line.rank, view.reason)
            error.__cause__ = view.cause
            self._fail(line, error)
        elif now >= self._deadline:
            self._fail(line, self._error(PeerTimeout, line.rank, f"{_overdue(line)} by the deadline"))
        else:
            if view.until < self._deadline:
                self._turns[line.rank] = view.until
            if isinstance(view, Ready):
                self._watch.add(line.rank, view.channel, receiving=line.due > 0)

    def _awaits_another(self, line: _Line) -> bool:
        """Whether it would do for a newer attempt of this rank to send it all again."""
        return self.patient and line.rank not in self.received and self._roster.failure is None

    def _pump(self, line: _Line, channel: Channel, *, look: bool) -> None:
        """Move frames between the line and its channel until neither side can go on."""
        before = channel.bytes_received
        while True:
            if line.out:
                for value, flags in line.out:
                    line.ticket = channel.push(*self._stamp, flags, value)
                line.out.clear()
                line.touched = True
                channel.pump_out()
            elif channel.sending:
                channel.pump_out()
            if not line.due:
                return
            if line.rooms and not line.lent:
                channel.lend(*self._stamp, line.rooms)
                line.lent = True
            if look:
                channel.pump_in()
                if channel.bytes_received != before:
                    line.touched = True
            frame = channel.frame
            if frame is None:
                return
            self._match(line, channel, frame)

    def _match(self, line: _Line, channel: Channel, frame: Frame) -> None:
        """Take the frame that is due, drop one that comes too late, and fail (leaving it) if the peer is ahead."""
        header = frame.header
        there = header[:2]  # operation and kind
        if there == self._stamp and not header.flags & _ABORT:
            channel.take()
            line.due -= 1
            value = cast(Value, frame.value)
            self.received.setdefault(line.rank, []).append(value)
            if self.on_received is not None:
                self.on_received(line.rank, value, header.flags)
        elif there < self._stamp and (there[0] < self._stamp[0] or self._stamp[1] == Kind.SEND):
            channel.take()  # of an operation that has ended here without it
        elif there != self._stamp:
            reason = f"is at operation {name_of(*there)} while this rank is at {name_of(*self._stamp)}"
            self._refuse(line, self._error(PeerClosed, line.rank, reason))
        else:
            channel.take()
            self._refuse(line, self._told(line.rank, frame))

    def _refuse(self, line: _Line, error: RunError) -> None:
        """Expect nothing more of this peer; a frame that is on its way to it is still finished."""
        self.failed[line.rank] = error
        line.due = 0
        line.out.clear()

    def _told(self, by: int, frame: Frame) -> RunError:
        """The failure that an aborting peer reports, as an error of this rank."""
        said = parse_abort(frame.value)
        if said.peer is not None and said.peer != self._rank:
            error = self._error(said.kind, said.peer, f"{said.reason} (as rank {by} says)")
            error.details["reason"] = said.reason  # what this rank tells on, if it does
            return error
        return self._error(PeerClosed, by, f"has given up: {said.reason}")

    def _listen(self, line: _Line) -> None:
        """Hear whether a peer with which all is done has failed after all. What it sends for later is left alone."""
        channel = line.channel
        assert channel is not None
        if channel.next_is_abort():
            channel.pump_in()
            frame = channel.frame
            if frame is not None and frame.header[:2] == self._stamp and frame.header.flags & _ABORT:
                channel.take()
                self._refuse(line, self._told(line.rank, frame))
        self._watch.drop(line.rank)

    def _finish(self, line: _Line) -> None:
        self._active.discard(line.rank)
        self._due_now.discard(line.rank)
        if self._turns:
            self._turns.pop(line.rank, None)
        line.ticket = 0
        if self.attentive and not self._aborting and line.channel is not None and line.channel.ended is None:
            self._watch.add(line.rank, line.channel, receiving=True)
            if line.channel.frame is not None:  # it came together with the last one that was due
                self._listen(line)
        else:
            self._watch.drop(line.rank)

    def _fail(self, line: _Line, error: RunError) -> None:
        self.failed.setdefault(line.rank, error)
        self._watch.drop(line.rank)
        if line.channel is not None:
            line.channel.give_up_sending(f"was given up in {self._kind.name.lower()}: it did not take a frame in time")
        self._finish(line)

    def _error(self, kind: type[RunError], peer: int, reason: str) -> RunError:
        where = Where(self._rank, self._kind.name.lower(), self._began)
        return where.error(kind, peer, reason, self._clock())


def _overdue(line: _Line) -> str:
    if line.peer is None:
        return "had not joined"
    if line.channel is None:
        return "had joined but not connected"
    return "had not sent its part" if line.due else "had not taken what was sent"
