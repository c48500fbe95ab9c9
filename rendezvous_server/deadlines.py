"""A queue of what falls due. No clock: `now` is given."""

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from itertools import takewhile
from math import inf
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Deadlines(Generic[K]):
    """Keys that fall due the same time after they were added: a queue whose head is the next one."""

    def __init__(self, after_s: float) -> None:
        self._after_s = after_s
        self._queue: OrderedDict[K, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._queue)

    def add(self, key: K, now: float) -> float:
        """When it falls due. For a key that is not there."""
        self._queue[key] = due = now + self._after_s
        return due

    def renew(self, key: K, now: float) -> None:
        """The same for a key that is there."""
        self._queue[key] = now + self._after_s
        self._queue.move_to_end(key)

    def discard(self, key: K) -> bool:
        """Whether it was there."""
        return self._queue.pop(key, None) is not None

    def left(self, key: K, now: float) -> float:
        """Seconds until it falls due; 0 if it is overdue or not there."""
        return max(0.0, self._queue.get(key, now) - now)

    def next(self) -> float:
        return next(iter(self._queue.values())) if self._queue else inf

    def due(self, now: float) -> list[K]:
        return list(takewhile(lambda key: self._queue[key] <= now, self._queue))

    def take_due(self, now: float) -> Iterator[K]:
        while self._queue and self.next() <= now:
            yield self._queue.popitem(last=False)[0]
