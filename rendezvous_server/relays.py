"""Decides who waits for a relay, whom it joins, and when it ends. Its bytes go through splicing.py. No I/O, no clock.

Two connections belong together when their requests have the same token and come from its two different ranks.
"""

from dataclasses import dataclass
from typing import Generic

from rendezvous_server.deadlines import Deadlines
from rendezvous_server.effects import ConnT
from rendezvous_server.limits import Limits
from rendezvous_server.protocol import Relay
from rendezvous_server.waiting import Waiters

Token = tuple[str, frozenset[tuple[int, int]]]


@dataclass(slots=True, eq=False)
class RelayPair(Generic[ConnT]):
    """Describes two connections that a relay joins."""

    ends: tuple[ConnT, ConnT]
    carried: int = 0  # bytes, both ways together


class Relays(Generic[ConnT]):
    """Keeps all relays, those that wait for their other end included."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.waiters: Waiters[Token, ConnT, Relay] = Waiters(limits.relay_timeout_s)  # for their other end
        self._pairs: dict[ConnT, RelayPair[ConnT]] = {}  # under each of its ends
        self._idle: Deadlines[RelayPair[ConnT]] = Deadlines(limits.relay_idle_timeout_s)

    @property
    def spliced(self) -> int:
        """Returns the number of pairs that a relay joins."""
        return len(self._idle)

    def has_room(self, relay: Relay) -> bool:
        """Says whether this request stays within the limit of pairs. One that waits for its other end is a pair too."""
        return self.waiters.at(relay.token) is not None or len(self.waiters) + self.spliced < self._limits.max_relays

    def splice(self, first: ConnT, second: ConnT, now: float) -> float:
        """Joins two connections, neither of which waits. Returns when the pair is idle for too long."""
        pair = RelayPair((first, second))
        self._pairs[first] = self._pairs[second] = pair
        return self._idle.add(pair, now)

    def carry(self, connection: ConnT, size: int, now: float) -> bool:
        """Counts bytes of one end; False if the pair has carried too many."""
        pair = self._pairs[connection]
        pair.carried += size
        self._idle.renew(pair, now)
        return pair.carried <= self._limits.relay_max_bytes

    def end_pair(self, connection: ConnT) -> ConnT | None:
        """Ends the pair of this connection, and returns its other end; None if it has no pair."""
        pair = self._pairs.get(connection)
        if pair is None:
            return None
        self._remove(pair)
        first, second = pair.ends
        return second if first == connection else first

    def take_idle(self, now: float) -> list[ConnT]:
        """Ends every pair that has carried nothing for too long, and returns both ends of each."""
        return [end for pair in list(self._idle.take_due(now)) for end in self._remove(pair)]

    def next(self) -> float:
        """Returns when something falls due."""
        return min(self.waiters.next(), self._idle.next())

    def _remove(self, pair: RelayPair[ConnT]) -> tuple[ConnT, ConnT]:
        self._idle.discard(pair)
        for end in pair.ends:
            del self._pairs[end]
        return pair.ends
