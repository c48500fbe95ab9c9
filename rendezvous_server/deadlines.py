"""A queue of deadlines. No clock: `now` is an argument, in seconds."""

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from itertools import takewhile
from math import inf
from typing import Generic, TypeVar

KeyT = TypeVar("KeyT", bound=Hashable)


class Deadlines(Generic[KeyT]):
    """Holds keys that all fall due `after_s` seconds after they were added, so that the oldest one is always next."""

    def __init__(self, after_s: float) -> None:
        self._after_s = after_s
        self._queue: OrderedDict[KeyT, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._queue)

    def add(self, key: KeyT, now: float) -> float:
        """Adds a key that is not there, and returns when it falls due."""
        self._queue[key] = due = now + self._after_s
        return due

    def renew(self, key: KeyT, now: float) -> None:
        """Starts the time of a key that is there anew."""
        self._queue[key] = now + self._after_s
        self._queue.move_to_end(key)

    def discard(self, key: KeyT) -> bool:
        """Removes a key, and says whether it was there."""
        return self._queue.pop(key, None) is not None

    def remaining(self, key: KeyT, now: float) -> float:
        """Returns the seconds until a key falls due; 0 if it is overdue or not there."""
        return max(0.0, self._queue.get(key, now) - now)

    def next(self) -> float:
        """Returns when the next key falls due; infinity if there is none."""
        return next(iter(self._queue.values())) if self._queue else inf

    def due(self, now: float) -> list[KeyT]:
        """Returns the keys that are due."""
        return list(takewhile(lambda key: self._queue[key] <= now, self._queue))

    def take_due(self, now: float) -> Iterator[KeyT]:
        """Removes and yields the keys that are due."""
        while self._queue and self.next() <= now:
            yield self._queue.popitem(last=False)[0]
