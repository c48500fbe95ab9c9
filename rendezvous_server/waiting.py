"""Keeps connections that wait for their other half, under a key that both name. No I/O, no clock."""

from collections.abc import Hashable
from math import inf
from typing import Generic, NamedTuple, TypeVar

from rendezvous_server.deadlines import Deadlines
from rendezvous_server.effects import ConnT

KeyT = TypeVar("KeyT", bound=Hashable)
DetailT = TypeVar("DetailT")


class Waiter(NamedTuple, Generic[ConnT, DetailT]):
    """Describes a connection that waits."""

    connection: ConnT
    detail: DetailT  # what the other half needs to know of it
    since: float


class Waiters(Generic[KeyT, ConnT, DetailT]):
    """Keeps who waits under which key: one connection per key, and one key per connection."""

    def __init__(self, timeout_s: float) -> None:
        self._waiters: dict[KeyT, Waiter[ConnT, DetailT]] = {}
        self._keys: dict[ConnT, KeyT] = {}
        self._due: Deadlines[KeyT] = Deadlines(timeout_s)
        self.next = self._due.next

    def __len__(self) -> int:
        return len(self._waiters)

    @property
    def connections(self) -> list[ConnT]:
        """Returns the connections that wait."""
        return list(self._keys)

    def at(self, key: KeyT) -> Waiter[ConnT, DetailT] | None:
        """Returns who waits under this key."""
        return self._waiters.get(key)

    def add(self, key: KeyT, connection: ConnT, detail: DetailT, now: float) -> float:
        """Lets a connection wait under a key under which nobody waits, and returns when the wait ends."""
        self._waiters[key] = Waiter(connection, detail, now)
        self._keys[connection] = key
        return self._due.add(key, now)

    def forget(self, connection: ConnT) -> bool:
        """Removes a connection, and says whether it waited."""
        key = self._keys.pop(connection, None)
        if key is None:
            return False
        del self._waiters[key]
        self._due.discard(key)
        return True

    def take_due(self, now: float = inf) -> list[Waiter[ConnT, DetailT]]:
        """Removes and returns those whose other half did not come in time."""
        waiters = [self._waiters.pop(key) for key in self._due.take_due(now)]
        for waiter in waiters:
            del self._keys[waiter.connection]
        return waiters
