"""One operation's transfers with any number of peers, in the caller's thread and under one deadline.

Collectives say what goes to whom and what is due from whom. There are two paths, which peers cannot tell apart:

- The fast path, here, is for peers that are all there and take what is sent. It has few steps, since a small operation
  lasts as long as these, and several times as long where ranks share a processor and displace each other's caches.
- The general path (transfer_loop.py) is taken once anything else is met: a frame that the kernel does not take whole,
  a peer that is not there or has failed, news of the group, the deadline. It goes on from where the fast path stopped.
"""

import select
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

from lambda_image.comm.channel.channel import Channel, OutBuffer
from lambda_image.comm.channel.signals import ABORT, Kind, abort_payload
from lambda_image.comm.channel.values import Value
from lambda_image.comm.operations.operation import Operation
from lambda_image.comm.operations.transfer import add_out_buffer
from lambda_image.comm.operations.transfer_loop import TransferLoop
from lambda_image.comm.operations.wakeup import Wakeup
from lambda_image.comm.operations.watch import LONGEST_WAIT_S
from lambda_image.comm.roster import PeerState, Roster

ABORT_LIMIT_S = 1.0  # to tell the others that an operation has failed; each of them has its own deadline besides
LULL_S = 0.001  # at least, without anything received; then what may wait is sent
FAST_PATH_PEERS = 64  # at most, on the fast path: poll looks at all of them at every step


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
        *,
        rank: int,
        operation: int,
        kind: Kind,
        deadline: float,
        abort_to: Iterable[int] = (),
        clock: Callable[[], float] = time.monotonic,
        fast_path_peers: int = FAST_PATH_PEERS,
    ) -> None:
        super().__init__(rank, operation, kind, deadline, clock)
        self._roster, self._wakeup = roster, wakeup
        self._fast_path_peers = fast_path_peers
        self.abort_to = abort_to  # ranks that hear of a failure here
        self._bound: dict[int, PeerState] = {}  # the attempt of each rank that this is about
        self._channels: dict[int, Channel] = {}  # to these
        self._touched: set[int] = set()  # ranks to or from which something has gone, but for values that came
        self._due: dict[int, int] = {}  # frames to receive, by rank
        self._out_buffers: dict[int, list[OutBuffer | None]] = {}  # for those frames, where there are any
        self._posted: dict[int, Channel] = {}  # that know of these
        self._answers: list[tuple[int, int]] = []  # ranks and flags

    def send(self, rank: int, value: Value = b"", flags: int = 0) -> None:
        """Begins at once, and may go on in `run`."""
        if self._loop is not None:
            self._loop.send(rank, value, flags)
        elif (channel := self._channels.get(rank) or self._open(rank)) is None:
            self._leave_fast_path().send(rank, value, flags)
        else:
            self._touched.add(rank)
            if ticket := channel.post(self.number, self.code, flags, value):
                self._leave_fast_path().add(rank, self._bound[rank]).ticket = ticket

    def answer(self, rank: int, flags: int) -> None:
        """An empty frame that may wait while small frames come: so as to wake nobody in the way of their senders."""
        if self._loop is not None:
            self._loop.send(rank, b"", flags)
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

    def run(self, *, tolerant: bool = False) -> None:
        """Until everything is sent and received, or has failed. A failure is raised; if `tolerant`, left in `failed`.

        Raises PeerClosed, PeerTimeout, PeerUnreachable, or why the rendezvous does not announce the peer; and whatever
        happens, RendezvousRejected when a newer attempt of this very rank has taken its place.
        """
        if self._loop is None:
            self._waits = True
            done = self._run_fast_path()
            self._waits = False
            if not done:
                self._leave_fast_path()
        if self._loop is not None:
            self._loop.run(tolerant=tolerant)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Exception):
            self._abort(error)
        elif error is not None:
            for channel in self._channels.values():  # a frame may be with the kernel, and not noted yet
                channel.give_up_sending("was given up, because the operation was interrupted")
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
        self.deadline = self.clock() + ABORT_LIMIT_S
        words = abort_payload(error)
        for rank in self.abort_to:
            peer = self._roster.at(rank)
            if peer is not None and peer.channel is not None and peer.channel.ended is None:
                loop.send(rank, words, ABORT)
        loop.run(tolerant=True)

    def _run_fast_path(self) -> bool:
        """Whether everything has come; if not, the rest is for the general path."""
        if self._roster.dismissed is not None or len(self._due) > self._fast_path_peers:
            return False
        if self._due and not self._receive_all():
            return False
        self._answer()
        return self._loop is None

    def _receive_all(self) -> bool:
        news = self._wakeup.fileno()
        poll = select.poll()
        poll.register(news, select.POLLIN)
        awaited: dict[int, tuple[int, Channel]] = {}
        for rank in self._due:
            channel = self._channels.get(rank) or self._open(rank)
            if channel is None or channel.ended is not None or channel.frames:
                return False
            if self._out_buffers.get(rank) and rank not in self._posted:
                channel.post_out_buffers(self.number, self.code, self._out_buffers[rank])
                self._posted[rank] = channel
            fd = channel.fileno()
            awaited[fd] = (rank, channel)
            poll.register(fd, select.POLLIN)
        while self._due:
            left = self.deadline - self.clock()
            if left <= 0:
                return False
            ready = poll.poll(1000 * (LULL_S if self._answers else min(left, LONGEST_WAIT_S)) + 1)
            if not ready and not self._answer():
                return False
            for fd, _ in ready:
                rank, channel = awaited.get(fd, (-1, None))
                if channel is None or rank not in self._due or not self._take(rank, channel):
                    return False
                if rank not in self._due:
                    if not self.watch_aborts:
                        poll.unregister(fd)
                    elif channel.frames:
                        return False
        return True

    def _take(self, rank: int, channel: Channel) -> bool:
        """Receive from a peer that is ready; False unless it is just what is due."""
        before, due, frames = channel.bytes_received, self._due, channel.frames
        channel.pump_in()
        if not frames:
            if channel.bytes_received != before:
                self._touched.add(rank)
            self._answer()  # much is under way, for which nobody should wait
        while frames:
            (number, code, flags, _, _), _, value = frames[0]
            if number != self.number or code != self.code or flags & ABORT:
                self._touched.add(rank)
                return False
            frames.popleft()
            if due[rank] == 1:
                del due[rank]
            else:
                due[rank] -= 1
            if rank in self.received:
                self.received[rank].append(value)
            else:
                self.received[rank] = [value]
            if self.on_received is not None:
                self.on_received(rank, value, flags)
            if self._loop is not None or rank not in due:
                break
        return self._loop is None and (channel.ended is None or rank not in due)

    def _answer(self) -> bool:
        """Send what waited; False if there was nothing, or the general path is to be taken now."""
        answers, self._answers = self._answers, []
        for rank, flags in answers:
            self.send(rank, b"", flags)
        return bool(answers) and self._loop is None

    def _open(self, rank: int) -> Channel | None:
        """The channel to a peer with which nothing is the matter. From now on this is about that attempt."""
        peer = self._roster.at(rank)
        if peer is None or peer.gone is not None or peer.channel is None or peer.channel.ended is not None:
            return None
        if self._roster.dismissed is not None:
            return None
        self._bound[rank], self._channels[rank] = peer, peer.channel
        return peer.channel

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
