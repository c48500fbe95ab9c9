"""Waiting for the sockets of several peers, and for news of the background thread."""

import select
from contextlib import suppress

from lambda_image.comm.channel.channel import Channel
from lambda_image.comm.operations.wakeup import Wakeup

LONGEST_WAIT_S = 3600.0  # poll takes a C int of milliseconds
# So many sockets are watched by epoll, whose cost does not grow with those that are silent. Fewer are watched by poll,
# since epoll takes a descriptor and a system call for each socket, and a barrier of a few ranks is too short for that.
MANY = 64


class Watch:
    """Waits for any of several channels, or for news."""

    def __init__(self, wakeup: Wakeup) -> None:
        self._wakeup = wakeup
        self._news = wakeup.fileno()
        self._poll = select.poll()
        self._poll.register(self._news, select.POLLIN)
        self._epoll: select.epoll | None = None
        self._ranks: dict[int, int] = {}  # by file descriptor
        self._watched: dict[int, tuple[int, int]] = {}  # by rank: file descriptor, events

    def __contains__(self, rank: int) -> bool:
        return rank in self._watched

    def add(self, rank: int, channel: Channel, *, receiving: bool) -> None:
        """Watch for what comes, if `receiving`, and for room for what is still to be sent."""
        events = (select.POLLIN if receiving else 0) | (select.POLLOUT if channel.sending else 0)
        wanted = (channel.fileno(), events)
        if self._watched.get(rank) == wanted:
            return
        self.drop(rank)
        self._watched[rank] = wanted
        self._ranks[wanted[0]] = rank
        (self._epoll or self._poll).register(*wanted)
        if self._epoll is None and len(self._ranks) == MANY and hasattr(select, "epoll"):
            self._epoll = select.epoll()
            for fd, bits in ((self._news, select.POLLIN), *self._watched.values()):
                self._epoll.register(fd, bits)  # whose bits are poll's

    def drop(self, rank: int) -> None:
        watched = self._watched.pop(rank, None)
        if watched is None:
            return
        del self._ranks[watched[0]]
        if self._epoll is None:
            self._poll.unregister(watched[0])
        else:
            with suppress(OSError):  # closed by now: epoll has forgotten it itself
                self._epoll.unregister(watched[0])

    def wait(self, seconds: float) -> list[int] | None:
        """The ranks whose sockets are ready; None when there are news or the time is over."""
        seconds = min(max(0.0, seconds), LONGEST_WAIT_S) + 0.001  # a millisecond later it has passed for certain
        ready = self._poll.poll(seconds * 1000) if self._epoll is None else self._epoll.poll(seconds, MANY)
        ranks = []
        for fd, _ in ready:
            if fd == self._news:
                self._wakeup.clear()
                return None
            ranks.append(self._ranks[fd])
        return ranks or None

    def close(self) -> None:
        if self._epoll is not None:
            self._epoll.close()
