"""Which ranks wait for a relay, which are connected by one, and how much it has carried. No I/O, no clock.

Two connections belong together when their wishes have the same token and come from its two different ranks.
"""

from dataclasses import dataclass
from typing import Generic, NamedTuple

from rendezvous_server.deadlines import Deadlines
from rendezvous_server.effects import ConnT
from rendezvous_server.limits import Limits
from rendezvous_server.protocol import Relay

Token = tuple[str, frozenset[tuple[int, int]]]


class RelayWaiter(NamedTuple, Generic[ConnT]):
    connection: ConnT
    relay: Relay
    since: float


@dataclass(slots=True, eq=False)
class Pair(Generic[ConnT]):
    ends: tuple[ConnT, ConnT]
    carried: int = 0  # bytes, both ways together


class Relays(Generic[ConnT]):
    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._waiters: dict[Token, RelayWaiter[ConnT]] = {}
        self._tokens: dict[ConnT, Token] = {}
        self._due: Deadlines[Token] = Deadlines(limits.relay_timeout_s)
        self._pairs: dict[ConnT, Pair[ConnT]] = {}  # under each of its ends
        self._idle: Deadlines[Pair[ConnT]] = Deadlines(limits.relay_idle_timeout_s)

    @property
    def waiting(self) -> list[ConnT]:
        return list(self._tokens)

    @property
    def spliced(self) -> int:
        """Pairs."""
        return len(self._idle)

    def has_room(self, relay: Relay) -> bool:
        """Whether this wish would stay within the limit of pairs; one that waits for its other end is a pair too."""
        return relay.token in self._waiters or len(self._waiters) + self.spliced < self._limits.max_relays

    def waiter(self, relay: Relay) -> RelayWaiter[ConnT] | None:
        """Who waits under this token: the partner, or the same rank once more."""
        return self._waiters.get(relay.token)

    def wait(self, connection: ConnT, relay: Relay, now: float) -> float:
        """Nobody waits under this token. When the wait ends."""
        token = relay.token
        self._waiters[token] = RelayWaiter(connection, relay, now)
        self._tokens[connection] = token
        return self._due.add(token, now)

    def forget(self, connection: ConnT) -> bool:
        """Whether it waited."""
        token = self._tokens.pop(connection, None)
        if token is None:
            return False
        del self._waiters[token]
        self._due.discard(token)
        return True

    def splice(self, first: ConnT, second: ConnT, now: float) -> float:
        """Neither waits any more. When the pair counts as idle, if it carries nothing."""
        pair = Pair((first, second))
        self._pairs[first] = self._pairs[second] = pair
        return self._idle.add(pair, now)

    def carry(self, connection: ConnT, size: int, now: float) -> bool:
        """An end of a pair has sent so many bytes; False if those were too many."""
        pair = self._pairs[connection]
        pair.carried += size
        self._idle.renew(pair, now)
        return pair.carried <= self._limits.relay_max_bytes

    def part(self, connection: ConnT) -> ConnT | None:
        """Ends the pair of this connection; its other end, or None if it has no pair."""
        pair = self._pairs.get(connection)
        if pair is None:
            return None
        self._take(pair)
        first, second = pair.ends
        return second if first == connection else first

    def take_due(self, now: float) -> list[RelayWaiter[ConnT]]:
        """Those whose partner did not come in time."""
        waiters = [self._waiters.pop(token) for token in self._due.take_due(now)]
        for waiter in waiters:
            del self._tokens[waiter.connection]
        return waiters

    def take_idle(self, now: float) -> list[ConnT]:
        """Both ends of every pair that has carried nothing for too long."""
        return [end for pair in list(self._idle.take_due(now)) for end in self._take(pair)]

    def next(self) -> float:
        return min(self._due.next(), self._idle.next())

    def _take(self, pair: Pair[ConnT]) -> tuple[ConnT, ConnT]:
        self._idle.discard(pair)
        for end in pair.ends:
            del self._pairs[end]
        return pair.ends
