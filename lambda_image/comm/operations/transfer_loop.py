"""The general path of an operation's transfers, with any number of peers in whatever state, all in flight together.

Data moves over whichever channels are ready, so that a slow peer delays nobody else's. A transfer with a peer begins
when its channel is there; from its first byte on it is bound to that attempt of the peer. What is known of peers is
looked at again only when there are news.
"""

import math
from typing import cast

from lambda_image.comm.channel.channel import Channel
from lambda_image.comm.channel.frames import Frame
from lambda_image.comm.channel.sealing import Content
from lambda_image.comm.channel.signals import ABORT, Kind, name_of, parse_abort
from lambda_image.comm.channel.values import Value
from lambda_image.comm.operations.operation import Operation
from lambda_image.comm.operations.transfer import Transfer
from lambda_image.comm.operations.wakeup import Wakeup
from lambda_image.comm.operations.watch import Watch
from lambda_image.comm.roster import Lost, PeerState, Ready, Roster, outlook
from lambda_image.errors import CommunicationError, PeerClosed, PeerTimeout

STALE_AT_ONCE = 50  # frames of operations that have ended, which are dropped before other peers have their turn


class TransferLoop:
    """Makes all of one operation's transfers, in the caller's thread."""

    def __init__(self, operation: Operation, roster: Roster, wakeup: Wakeup) -> None:
        self._operation = operation
        self._stamp = (operation.number, operation.code)
        self._roster = roster
        self._transfers: dict[int, Transfer] = {}
        self._active: set[int] = set()  # ranks whose transfers are not done
        self._due_now: set[int] = set()  # ranks whose transfers may be able to move
        self._again: set[int] = set()  # ranks whose newer attempt may send what has come: nobody waits for it
        self._flooding: set[int] = set()  # ranks of whose frames that come too late more may be here
        self._ending = False
        self._watch = Watch(wakeup)
        self._turns: dict[int, float] = {}  # when the outlook of a rank changes by itself, where it does

    def add(self, rank: int, peer: PeerState | None) -> Transfer:
        """The transfer to a rank; a new one is bound to this attempt of it."""
        transfer = self._transfers.get(rank)
        if transfer is None:
            transfer = self._transfers[rank] = Transfer(rank, peer)
        self._active.add(rank)
        self._due_now.add(rank)
        return transfer

    def send(self, rank: int, value: Content, flags: int) -> None:
        self.add(rank, self._roster.at(rank)).out.append((value, flags))

    def receive(self, rank: int, out: Value | None) -> None:
        self.add(rank, self._roster.at(rank)).expect(out)

    def channel(self, rank: int) -> Channel:
        """See Exchange.channel."""
        return cast(Channel, self._transfers[rank].channel)

    def run(self, *, tolerant: bool) -> None:
        """See Exchange.run."""
        operation = self._operation
        while True:
            if operation.closing is not None:
                operation.deadline = operation.closing.deadline
            if self._roster.dismissed is not None and not self._ending:
                raise self._roster.dismissed
            while self._due_now:
                rank = self._due_now.pop()
                self._advance(self._transfers[rank])
                if operation.failed and not tolerant and rank in operation.failed:
                    raise operation.failed[rank]
            if self._active <= self._again and not (operation.patient and operation.clock() < operation.deadline):
                return
            turns = () if operation.patient else self._turns.values()  # nobody's time is over while all are awaited
            left = (
                min(operation.deadline, *turns) - operation.clock() if turns else operation.deadline - operation.clock()
            )
            ready = self._watch.wait(0.0 if self._flooding else left) if left > 0 else None
            if ready is None and operation.await_retries:
                self._take_again()
            if ready is None and operation.patient:
                self._due_now = {rank for rank in self._active if self._has_news(self._transfers[rank])}
            elif ready is None:  # there are news, or the time is over
                self._due_now = set(self._active)
                for transfer in self._transfers.values():
                    transfer.plain = False
            else:
                self._due_now.update(ready)
            self._due_now |= self._flooding
            self._flooding.clear()

    def end(self) -> None:
        """Expect and begin nothing more. What is on its way to a peer is still finished by `run`."""
        self._ending = True
        for transfer in self._transfers.values():
            transfer.due = 0
            transfer.out.clear()
        self._due_now = set(self._active)

    def close(self, *, interrupted: bool) -> None:
        self._watch.close()
        for transfer in self._transfers.values():
            if transfer.channel is not None:
                if transfer.posted:
                    transfer.channel.withdraw_out_buffers()
                if interrupted:
                    transfer.channel.give_up_sending("was given up, because the operation was interrupted")

    def _advance(self, transfer: Transfer) -> None:
        """Everything that can be done with this peer now."""
        if transfer.rank not in self._active:
            self._listen(transfer)
            return
        if not transfer.plain and not self._find(transfer):
            return
        channel = cast(Channel, transfer.channel)
        # What has just begun waits for the poll: a look at one empty socket costs as much as that at all of them.
        transfer.move(channel, *self._stamp, look=transfer.watched or not transfer.plain)
        stale = 0
        while transfer.due and channel.frames:
            stale += self._match(transfer, channel, channel.frames[0])
            if stale == STALE_AT_ONCE:
                self._flooding.add(transfer.rank)
                break
            if transfer.due:
                transfer.move(channel, *self._stamp, look=True)
        if transfer.over(channel):
            self._finish(transfer)
        elif transfer.plain and channel.ended is None:
            if transfer.ticket or not transfer.watched:
                self._wait_for(transfer, channel)
        else:
            self._judge(transfer)

    def _find(self, transfer: Transfer) -> bool:
        """Look again at what is known of the peer; False if there is no channel to use now."""
        current = self._roster.at(transfer.rank)
        if transfer.peer is not current and (not transfer.touched or self._awaits_another(transfer)):
            self._unwatch(transfer)
            transfer.bind(current)
        peer = transfer.peer
        if peer is None or peer.channel is None:
            if transfer.due or transfer.out or transfer.ticket:
                self._judge(transfer)
            else:
                self._finish(transfer)
            return False
        transfer.channel = peer.channel
        in_time = self._operation.clock() < self._operation.deadline
        transfer.plain = in_time and peer.channel.ended is None and peer.gone is None
        if transfer.plain and self._turns:
            self._turns.pop(transfer.rank, None)
        return True

    def _has_news(self, transfer: Transfer) -> bool:
        """Whether there are news of this peer. While a large group joins, most are of others."""
        peer = self._roster.at(transfer.rank)
        if peer is transfer.peer and transfer.rank not in self._roster.excused:
            if peer is None or peer.channel is None:
                return False
            if peer.channel is transfer.channel and transfer.plain and peer.channel.ended is None and peer.gone is None:
                return False
        transfer.plain = False
        return True

    def _take_again(self) -> None:
        """Let those be rid of their values whose earlier attempt was, and was lost then: they cannot know."""
        for rank in self._operation.received:
            transfer, peer = self._transfers[rank], self._roster.at(rank)
            if peer is None or transfer.peer is None or peer.member.attempt <= transfer.peer.member.attempt:
                continue
            if peer.channel is not None:
                self._unwatch(transfer)
                transfer.bind(peer)
                transfer.due, transfer.ticket, transfer.plain = 1, 0, False
                transfer.out_buffers = []  # what has come is in them, and half of another value would spoil it
                self._again.add(rank)
                self._active.add(rank)

    def _judge(self, transfer: Transfer) -> None:
        """Wait on for a peer with which something is the matter, or give it up."""
        now, deadline = self._operation.clock(), self._operation.deadline
        view = outlook(transfer.peer, self._roster.failure, now)
        excuse = self._roster.excused.get(transfer.rank)
        self._turns.pop(transfer.rank, None)
        if excuse is not None and (not isinstance(view, Ready) or view.until < math.inf):  # no channel, or it has left
            self._fail(transfer, self._operation.error(PeerClosed, transfer.rank, excuse))
        elif (
            isinstance(view, Lost) and now < deadline and (self._operation.patient or self._may_return(transfer, view))
        ):
            self._unwatch(transfer)
        elif isinstance(view, Lost):
            self._fail(transfer, self._operation.error(view.kind, transfer.rank, view.reason, view.cause))
        elif now >= deadline:
            self._fail(
                transfer, self._operation.error(PeerTimeout, transfer.rank, f"{transfer.overdue()} by the deadline")
            )
        else:
            if view.until < deadline:
                self._turns[transfer.rank] = view.until
            if isinstance(view, Ready):
                self._wait_for(transfer, view.channel)

    def _awaits_another(self, transfer: Transfer) -> bool:
        """Whether it would do for a newer attempt of this rank to send it all again."""
        operation = self._operation
        return operation.await_retries and transfer.rank not in operation.received and self._roster.failure is None

    def _may_return(self, transfer: Transfer, view: Lost) -> bool:
        return view.kind is PeerClosed and self._awaits_another(transfer)

    def _match(self, transfer: Transfer, channel: Channel, frame: Frame) -> bool:
        """Take the frame that is due, drop one that comes too late, and fail (leaving it) if the peer is ahead.

        Returns whether one was dropped.
        """
        header, operation = frame.header, self._operation
        there = header[:2]  # operation and kind
        if there == self._stamp and not header.flags & ABORT:
            channel.frames.popleft()
            transfer.due -= 1
            value: Value = frame.value
            if transfer.rank in self._again:
                operation.received[transfer.rank].clear()
            operation.received.setdefault(transfer.rank, []).append(value)
            if operation.on_received is not None:
                operation.on_received(transfer.rank, value, header.flags)
        elif there < self._stamp and (there[0] < self._stamp[0] or self._stamp[1] == Kind.SEND):
            channel.frames.popleft()  # of an operation that has ended here without it
            return True
        elif there != self._stamp:
            reason = f"is at operation {name_of(*there)} while this rank is at {name_of(*self._stamp)}"
            self._refuse(transfer, operation.error(PeerClosed, transfer.rank, reason))
        else:
            channel.frames.popleft()
            self._refuse(transfer, self._told(transfer.rank, frame))
        return False

    def _refuse(self, transfer: Transfer, error: CommunicationError) -> None:
        """Expect nothing more of this peer; a frame that is on its way to it is still finished."""
        if transfer.rank not in self._again:
            self._operation.failed[transfer.rank] = error
        transfer.due = 0
        transfer.out.clear()

    def _told(self, by: int, frame: Frame) -> CommunicationError:
        """The failure that an aborting peer reports, as an error of this rank."""
        said, operation = parse_abort(frame.value), self._operation
        if said.peer is not None and said.peer != operation.rank:
            error = operation.error(said.kind, said.peer, f"{said.reason} (as rank {by} says)")
            error.reason = said.reason  # what this rank tells on, if it does
            return error
        return operation.error(PeerClosed, by, f"has given up: {said.reason}")

    def _listen(self, transfer: Transfer) -> None:
        """Hear whether a peer with which all is done has failed after all. What it sends for later is left alone."""
        channel = cast(Channel, transfer.channel)
        if self._operation.watch_aborts and not self._ending and channel.next_is_abort():
            channel.pump_in()
            frame = channel.frames[0] if channel.frames else None
            if frame is not None and frame.header[:2] == self._stamp and frame.header.flags & ABORT:
                channel.frames.popleft()
                self._refuse(transfer, self._told(transfer.rank, frame))
        self._unwatch(transfer)

    def _wait_for(self, transfer: Transfer, channel: Channel) -> None:
        self._watch.add(transfer.rank, channel, receiving=transfer.due > 0)
        transfer.watched = True

    def _unwatch(self, transfer: Transfer) -> None:
        self._watch.drop(transfer.rank)
        transfer.watched = False

    def _finish(self, transfer: Transfer) -> None:
        self._active.discard(transfer.rank)
        self._again.discard(transfer.rank)
        self._due_now.discard(transfer.rank)
        if self._turns:
            self._turns.pop(transfer.rank, None)
        transfer.ticket = 0
        transfer.watched = False  # for the same as now
        channel = transfer.channel
        if self._operation.watch_aborts and not self._ending and channel is not None and channel.ended is None:
            self._watch.add(transfer.rank, channel, receiving=True)
            if channel.frames:  # it came together with the last one that was due
                self._listen(transfer)
        # Otherwise its socket stays where it is; if the poll names it while others are waited for, it is dropped then.

    def _fail(self, transfer: Transfer, error: CommunicationError) -> None:
        if transfer.peer is not None and transfer.channel is None and self._roster.cramped is not None:
            error = self._operation.error(type(error), transfer.rank, f"{error.reason}: {self._roster.cramped}")
        if transfer.rank not in self._again:
            self._operation.failed.setdefault(transfer.rank, error)
        self._unwatch(transfer)
        if transfer.channel is not None:
            name = self._operation.kind.name.lower()
            transfer.channel.give_up_sending(f"was given up in {name}, because it did not take a frame in time")
        self._finish(transfer)
