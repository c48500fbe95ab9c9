"""The long way of an operation's transfers: any number of peers, whatever state they are in, all in flight together.

Data moves over whichever channels are ready, so that a slow peer delays nobody else's. A transfer with a peer begins
when its channel is there; from its first byte on it is bound to that attempt of the peer. What is known of peers is
looked at again only when there are news.
"""

from typing import cast

from lambda_image.comm.channel import Channel
from lambda_image.comm.frames import Frame
from lambda_image.comm.line import Line
from lambda_image.comm.operation import Operation
from lambda_image.comm.roster import Lost, Peer, Ready, Roster, outlook
from lambda_image.comm.signals import ABORT, Kind, name_of, parse_abort
from lambda_image.comm.values import Value
from lambda_image.comm.wakeup import Wakeup
from lambda_image.comm.watch import Watch
from lambda_image.errors import PeerClosed, PeerTimeout, RunError


class Lines:
    def __init__(self, operation: Operation, roster: Roster, wakeup: Wakeup) -> None:
        self._operation = operation
        self._stamp = (operation.number, operation.code)
        self._roster = roster
        self._lines: dict[int, Line] = {}
        self._active: set[int] = set()  # ranks whose lines are not done
        self._due_now: set[int] = set()  # ranks whose lines may be able to move
        self._ending = False
        self._watch = Watch(wakeup)
        self._turns: dict[int, float] = {}  # when the outlook of a rank changes by itself, where it does

    def add(self, rank: int, peer: Peer | None) -> Line:
        """The line to a rank; a new one is bound to this attempt of it."""
        line = self._lines.get(rank)
        if line is None:
            line = self._lines[rank] = Line(rank, peer)
        self._active.add(rank)
        self._due_now.add(rank)
        return line

    def send(self, rank: int, value: Value, flags: int) -> None:
        self.add(rank, self._roster.at(rank)).out.append((value, flags))

    def receive(self, rank: int, out: Value | None) -> None:
        self.add(rank, self._roster.at(rank)).expect(out)

    def run(self, *, tolerant: bool) -> None:
        """See Exchange.run."""
        operation = self._operation
        while True:
            if self._roster.dismissed is not None and not self._ending:
                raise self._roster.dismissed
            while self._due_now:
                rank = self._due_now.pop()
                self._advance(self._lines[rank])
                if operation.failed and not tolerant and rank in operation.failed:
                    raise operation.failed[rank]
            if not self._active:
                return
            until = min(operation.deadline, *self._turns.values()) if self._turns else operation.deadline
            left = until - operation.clock()
            ready = self._watch.wait(left) if left > 0 else None
            if ready is None:  # there are news, or the time is over
                self._due_now = set(self._active)
                for line in self._lines.values():
                    line.plain = False
            else:
                self._due_now.update(ready)

    def end(self) -> None:
        """Expect and begin nothing more. What is on its way to a peer is still finished by `run`."""
        self._ending = True
        for line in self._lines.values():
            line.due = 0
            line.out.clear()
        self._due_now = set(self._active)

    def close(self, *, interrupted: bool) -> None:
        self._watch.close()
        for line in self._lines.values():
            if line.channel is not None:
                if line.lent:
                    line.channel.take_back()
                if interrupted:
                    line.channel.give_up_sending("was given up: the operation was interrupted")

    def _advance(self, line: Line) -> None:
        """Everything that can be done with this peer now."""
        if line.rank not in self._active:
            self._listen(line)
            return
        if not line.plain and not self._find(line):
            return
        channel = cast(Channel, line.channel)
        # What has just begun waits for the poll: a look at one empty socket costs as much as that at all of them.
        line.move(channel, *self._stamp, look=line.watched or not line.plain)
        while line.due and channel.frames:
            self._match(line, channel, channel.frames[0])
            if line.due:
                line.move(channel, *self._stamp, look=True)
        if line.over(channel):
            self._finish(line)
        elif line.plain and channel.ended is None:
            if line.ticket or not line.watched:
                self._wait_for(line, channel)
        else:
            self._judge(line)

    def _find(self, line: Line) -> bool:
        """Look again at what is known of the peer; False if there is no channel to use now."""
        current = self._roster.at(line.rank)
        if line.peer is not current and (not line.touched or self._awaits_another(line)):
            self._unwatch(line)
            line.bind(current)
        peer = line.peer
        if peer is None or peer.channel is None:
            if line.due or line.out or line.ticket:
                self._judge(line)
            else:
                self._finish(line)
            return False
        line.channel = peer.channel
        in_time = self._operation.clock() < self._operation.deadline
        line.plain = in_time and peer.channel.ended is None and peer.gone is None
        if line.plain and self._turns:
            self._turns.pop(line.rank, None)
        return True

    def _judge(self, line: Line) -> None:
        """Wait on for a peer with which something is the matter, or give it up."""
        now, deadline = self._operation.clock(), self._operation.deadline
        view = outlook(line.peer, self._roster.failure, now)
        self._turns.pop(line.rank, None)
        if isinstance(view, Lost) and self._awaits_another(line) and view.kind is PeerClosed and now < deadline:
            self._unwatch(line)
        elif isinstance(view, Lost):
            error = self._operation.error(view.kind, line.rank, view.reason)
            error.__cause__ = view.cause
            self._fail(line, error)
        elif now >= deadline:
            self._fail(line, self._operation.error(PeerTimeout, line.rank, f"{line.overdue()} by the deadline"))
        else:
            if view.until < deadline:
                self._turns[line.rank] = view.until
            if isinstance(view, Ready):
                self._wait_for(line, view.channel)

    def _awaits_another(self, line: Line) -> bool:
        """Whether it would do for a newer attempt of this rank to send it all again."""
        operation = self._operation
        return operation.patient and line.rank not in operation.received and self._roster.failure is None

    def _match(self, line: Line, channel: Channel, frame: Frame) -> None:
        """Take the frame that is due, drop one that comes too late, and fail (leaving it) if the peer is ahead."""
        header, operation = frame.header, self._operation
        there = header[:2]  # operation and kind
        if there == self._stamp and not header.flags & ABORT:
            channel.frames.popleft()
            line.due -= 1
            value: Value = frame.value
            operation.received.setdefault(line.rank, []).append(value)
            if operation.on_received is not None:
                operation.on_received(line.rank, value, header.flags)
        elif there < self._stamp and (there[0] < self._stamp[0] or self._stamp[1] == Kind.SEND):
            channel.frames.popleft()  # of an operation that has ended here without it
        elif there != self._stamp:
            reason = f"is at operation {name_of(*there)} while this rank is at {name_of(*self._stamp)}"
            self._refuse(line, operation.error(PeerClosed, line.rank, reason))
        else:
            channel.frames.popleft()
            self._refuse(line, self._told(line.rank, frame))

    def _refuse(self, line: Line, error: RunError) -> None:
        """Expect nothing more of this peer; a frame that is on its way to it is still finished."""
        self._operation.failed[line.rank] = error
        line.due = 0
        line.out.clear()

    def _told(self, by: int, frame: Frame) -> RunError:
        """The failure that an aborting peer reports, as an error of this rank."""
        said, operation = parse_abort(frame.value), self._operation
        if said.peer is not None and said.peer != operation.rank:
            error = operation.error(said.kind, said.peer, f"{said.reason} (as rank {by} says)")
            error.details["reason"] = said.reason  # what this rank tells on, if it does
            return error
        return operation.error(PeerClosed, by, f"has given up: {said.reason}")

    def _listen(self, line: Line) -> None:
        """Hear whether a peer with which all is done has failed after all. What it sends for later is left alone."""
        channel = cast(Channel, line.channel)
        if self._operation.attentive and not self._ending and channel.next_is_abort():
            channel.pump_in()
            frame = channel.frames[0] if channel.frames else None
            if frame is not None and frame.header[:2] == self._stamp and frame.header.flags & ABORT:
                channel.frames.popleft()
                self._refuse(line, self._told(line.rank, frame))
        self._unwatch(line)

    def _wait_for(self, line: Line, channel: Channel) -> None:
        self._watch.add(line.rank, channel, receiving=line.due > 0)
        line.watched = True

    def _unwatch(self, line: Line) -> None:
        self._watch.drop(line.rank)
        line.watched = False

    def _finish(self, line: Line) -> None:
        self._active.discard(line.rank)
        self._due_now.discard(line.rank)
        if self._turns:
            self._turns.pop(line.rank, None)
        line.ticket = 0
        line.watched = False  # for the same as now
        channel = line.channel
        if self._operation.attentive and not self._ending and channel is not None and channel.ended is None:
            self._watch.add(line.rank, channel, receiving=True)
            if channel.frames:  # it came together with the last one that was due
                self._listen(line)
        # Otherwise its socket stays where it is; if the poll names it while others are waited for, it is dropped then.

    def _fail(self, line: Line, error: RunError) -> None:
        self._operation.failed.setdefault(line.rank, error)
        self._unwatch(line)
        if line.channel is not None:
            name = self._operation.kind.name.lower()
            line.channel.give_up_sending(f"was given up in {name}: it did not take a frame in time")
        self._finish(line)
