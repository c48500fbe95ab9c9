"""Clients of the pairing dialect that wait for their partner. No I/O, no clock."""

from math import inf
from typing import Generic, NamedTuple

from rendezvous_server.deadlines import Deadlines
from rendezvous_server.effects import ConnT


class PairingWaiter(NamedTuple, Generic[ConnT]):
    """Describes a connection that waits under a name."""

    connection: ConnT
    record: bytes  # its address, as its partner will read it
    since: float


class Pairing(Generic[ConnT]):
    """Keeps who waits under which name: one connection per name, and one name per connection."""

    def __init__(self, timeout_s: float) -> None:
        self._waiters: dict[bytes, PairingWaiter[ConnT]] = {}
        self._names: dict[ConnT, bytes] = {}
        self._due: Deadlines[bytes] = Deadlines(timeout_s)
        self.next = self._due.next

    def __len__(self) -> int:
        return len(self._waiters)

    def waiter(self, name: bytes) -> PairingWaiter[ConnT] | None:
        """Returns who waits under this name."""
        return self._waiters.get(name)

    def wait(self, name: bytes, connection: ConnT, record: bytes, now: float) -> float:
        """Lets a connection wait under a name under which nobody waits, and returns when the wait ends."""
        self._waiters[name] = PairingWaiter(connection, record, now)
        self._names[connection] = name
        return self._due.add(name, now)

    def forget(self, connection: ConnT) -> bool:
        """Removes a connection, and says whether it waited."""
        name = self._names.pop(connection, None)
        if name is None:
            return False
        del self._waiters[name]
        self._due.discard(name)
        return True

    def take_due(self, now: float = inf) -> list[ConnT]:
        """Removes and returns those whose partner did not come in time."""
        connections = [self._waiters.pop(name).connection for name in self._due.take_due(now)]
        for connection in connections:
            del self._names[connection]
        return connections
