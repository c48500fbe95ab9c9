"""One operation's transfers with any number of peers, in the caller's thread and under one deadline.

Collectives say what goes to whom and what is due from whom. There are two paths, which peers cannot tell apart:

- The fast path, here, is for peers that are all there and in time. It takes them in turn, so that this rank is woken by
  the one it waits for and not by each, and lets the kernel wait. It has few steps, since a small operation lasts as
  long as these, and several times as long where ranks share a processor and displace each other's caches.
- The general path (transfer_loop.py) is taken once anything else is met: a peer that is late, not there or has failed,
  a value that not all peers take at once, a deadline that is near or not known yet. It goes on from where the fast
  path stopped.
"""

import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self, cast

from lambda_image.comm.channel.channel import PATIENCE_S, Channel, OutBuffer
from lambda_image.comm.channel.frames import WHOLE_BYTES
from lambda_image.comm.channel.sealing import Content
from lambda_image.comm.channel.signals import ABORT, Kind, abort_payload
from lambda_image.comm.channel.values import NO_VALUE, Value
from lambda_image.comm.operations.operation import Operation
from lambda_image.comm.operations.transfer import add_out_buffer
from lambda_image.comm.operations.transfer_loop import TransferLoop
from lambda_image.comm.operations.wakeup import Wakeup
from lambda_image.comm.roster import PeerState, Roster

ABORT_LIMIT_S = 1.0  # to tell the others that an operation has failed; each of them has its own deadline besides
NEAR_S = 2 * PATIENCE_S  # to a deadline; then the kernel, which wakes this rank only with its own ticks, waits no more


class Exchange(Operation):
    """Sends and receives what one operation says, in `run`.

    As a context manager it tells the ranks of `abort_to` when its body raises. They fail with the same reason then,
    instead of waiting for their own deadlines.
    """

    _loop: TransferLoop | None = None  # once the general path is taken
    _waits = False  # whether peers are awaited on the fast path at this moment

    def __init__(
        self,
        roster: Roster,
        wakeup: Wakeup,
        rank: int,
        operation: int,
        kind: Kind,
        deadline: float,
        abort_to: Iterable[int] = (),
        clock: Callable[[], float] = time.monotonic,
        fast: bool = True,
    ) -> None:
        Operation.__init__(self, rank, operation, kind, deadline, clock)
        self._roster, self._wakeup = roster, wakeup
        self._fast = fast  # whether anything is received on the fast path
        self.abort_to = abort_to  # ranks that hear of a failure here
        self._bound: dict[int, PeerState] = {}  # the attempt of each rank that this is about
        self._touched: set[int] = set()  # ranks to or from which something has gone, but for values that came
        self._due: dict[int, int] = {}  # frames to receive, by rank
        self._out_buffers: dict[int, list[OutBuffer | None]] = {}  # for those frames, where there are any
        self._posted: dict[int, Channel] = {}  # that know of these
        self._answers: list[tuple[int, int]] = []  # ranks and flags

    def send(self, rank: int, value: Content = NO_VALUE, flags: int = 0, *, wait: bool = False) -> None:
        """Begins at once, and may go on in `run`.

        With `wait` it goes on here as long as the peer takes it, which saves wake-ups. That is for a rank which has
        nothing else to do, and whose peer sends nothing large meanwhile.
        """
        if self._loop is not None:
            self._loop.send(rank, value, flags)
        elif (channel := self._open(rank)) is None:
            self._leave_fast_path().send(rank, value, flags)
        else:
            self._touched.add(rank)
            if ticket := channel.post(self.number, self.code, flags, value):
                while wait and self.deadline - self.clock() > NEAR_S and self._roster.dismissed is None:
                    if not channel.await_out() or channel.gone(ticket):
                        break
                if not channel.gone(ticket):
                    self._leave_fast_path().add(rank, self._bound[rank]).ticket = ticket

    def expect_from_all(self, size: int, most: int = WHOLE_BYTES) -> None:
        """Several ranks send values of about this size at once.

        Those of more than `most` bytes are taken from all at once, since others would wait for room in this rank's
        buffers while it waited for one of them.
        """
        self._fast = self._fast and size <= most

    def answer(self, rank: int, flags: int) -> None:
        """An empty frame that may wait while small frames come: so as to wake nobody in the way of their senders."""
        if self._loop is not None:
            self._loop.send(rank, NO_VALUE, flags)
        else:
            self._answers.append((rank, flags))

    def receive(self, rank: int, out: Value | None = None) -> None:
        """One more value is due from this rank: `out` itself, if that has the value's form and was given in time."""
        if self._loop is not None or self._waits:
            self._leave_fast_path().receive(rank, out)
            return
        due = self._due.get(rank, 0)
        self._due[rank] = due + 1
        if out is not None or self._out_buffers:
            add_out_buffer(self._out_buffers.setdefault(rank, []), due, out)

    def channel(self, rank: int) -> Channel:
        """That by which a value of this peer has just come."""
        return cast(Channel, self._bound[rank].channel) if self._loop is None else self._loop.channel(rank)

    def run(self, *, tolerant: bool = False) -> None:
        """Until everything is sent and received, or has failed. A failure is raised; if `tolerant`, left in `failed`.

        Raises PeerClosed, PeerTimeout, PeerUnreachable, or why the rendezvous does not announce the peer; and whatever
        happens, RendezvousRejected when a newer attempt of this very rank has taken its place.
        """
        if self._loop is None:
            self._waits = True
            fast = self._roster.dismissed is None and ((self._fast and self.closing is None) or not self._due)
            for rank in tuple(self._due):
                if not fast:
                    break
                fast = self._receive(rank)
            self._waits = False
            if not fast:
                self._leave_fast_path()
            elif self._answers:
                self._answer()
        if self._loop is not None:
            self._loop.run(tolerant=tolerant)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None and self._loop is None and not self._posted:
            self.on_received = None
            return
        if isinstance(error, Exception):
            self._abort(error)
        elif error is not None:
            for peer in self._bound.values():  # a frame may be with the kernel, and not noted yet
                cast(Channel, peer.channel).give_up_sending("was given up, because the operation was interrupted")
        if self._loop is not None:
            self._loop.close(interrupted=error is not None and not isinstance(error, Exception))
        for channel in self._posted.values():
            channel.withdraw_out_buffers()
        self.on_received = self._loop = None  # they refer to this object: garbage that only the collector would find

    def _abort(self, error: Exception) -> None:
        """End the operation everywhere. Frames that are on their way are finished, so that channels stay usable."""
        self._answer()
        loop = self._leave_fast_path()
        loop.end()
        self.deadline, self.closing = self.clock() + ABORT_LIMIT_S, None  # which would say another end, and is patient
        words = abort_payload(error)
        for rank in self.abort_to:
            peer = self._roster.at(rank)
            if peer is not None and peer.channel is not None and peer.channel.ended is None:
                loop.send(rank, words, ABORT)
        loop.run(tolerant=True)

    def _receive(self, rank: int) -> bool:
        """Take what is due from a peer; False unless all of it comes, and soon."""
        peer = self._bound.get(rank)
        channel = peer.channel if peer is not None else self._open(rank)
        if channel is None:
            return False
        if self._out_buffers and self._out_buffers.get(rank) and rank not in self._posted:
            channel.post_out_buffers(self.number, self.code, self._out_buffers[rank])
            self._posted[rank] = channel
        frames, before = channel.frames, channel.bytes_received
        while True:
            while not frames:
                late = self.deadline - self.clock() < NEAR_S or self._roster.dismissed is not None
                if late or not channel.await_in():
                    if channel.bytes_received != before:
                        self._touched.add(rank)
                    return False
                if self._answers and not frames:  # a large value comes
                    self._answer()
            (number, code, flags, _, _), _, value = frames[0]
            if number != self.number or code != self.code or flags & ABORT:
                return False
            frames.popleft()
            due = self._due[rank] - 1
            if due:
                self._due[rank] = due
            else:
                del self._due[rank]
            if rank in self.received:
                self.received[rank].append(value)
            else:
                self.received[rank] = [value]
            if self.on_received is not None:
                self.on_received(rank, value, flags)
            if not due or self._loop is not None:
                return self._loop is None

    def _answer(self) -> None:
        """Send what waited."""
        answers, self._answers = self._answers, []
        for rank, flags in answers:
            self.send(rank, NO_VALUE, flags)

    def _open(self, rank: int) -> Channel | None:
        """The channel to a peer with which nothing is the matter. From now on this is about that attempt."""
        peer = self._bound.get(rank) or self._roster.at(rank)
        if peer is None or peer.gone is not None or self._roster.dismissed is not None:
            return None
        channel = peer.channel
        if channel is None or channel.ended is not None:
            return None
        self._bound[rank] = peer
        return channel

    def _leave_fast_path(self) -> TransferLoop:
        """Go on with the general path from here."""
        if self._loop is None:
            self._loop = loop = TransferLoop(self, self._roster, self._wakeup)
            for rank in {**self._bound, **self._due}:
                transfer = loop.add(rank, self._bound.get(rank) or self._roster.at(rank))
                transfer.touched = rank in self._touched or rank in self.received
                transfer.due = self._due.get(rank, 0)
                transfer.out_buffers, transfer.posted = self._out_buffers.get(rank, []), rank in self._posted
            self._answer()
        return self._loop
