"""What one address may do: so many connections at a time, so many joins at once and per second. No I/O, no clock."""

from collections import Counter, OrderedDict
from collections.abc import Hashable
from ipaddress import IPv6Network
from typing import Generic, TypeVar

from rendezvous_server.limits import Limit

ConnT = TypeVar("ConnT", bound=Hashable)

IPV6_PREFIX = 64  # one host usually owns a whole /64, so a /64 counts as one address


class Connections(Generic[ConnT]):
    """Counts connections in total and per address."""

    def __init__(self, at_most: int, per_address: int) -> None:
        self._at_most = at_most
        self._per_address = per_address
        self._addresses: dict[ConnT, str | None] = {}
        self._counts: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._addresses)

    def add(self, connection: ConnT, host: str | None) -> Limit | None:
        """The limit that leaves no room for it, if one does. None as host: where it comes from is told later."""
        if len(self._addresses) >= self._at_most:
            return Limit.CONNECTIONS
        self._addresses[connection] = None
        limit = None if host is None else self.locate(connection, host)
        if limit is not None:
            del self._addresses[connection]
        return limit

    def locate(self, connection: ConnT, host: str) -> Limit | None:
        """The host of a connection that was added without; the limit that leaves no room for it, if one does."""
        address = counted_address(host)
        if self._counts[address] >= self._per_address:
            return Limit.CONNECTIONS_PER_ADDRESS
        self._addresses[connection] = address
        self._counts[address] += 1
        return None

    def remove(self, connection: ConnT) -> None:
        """Does nothing for a connection that was not added."""
        address = self._addresses.pop(connection, None)
        if address is not None:
            self._counts[address] -= 1
            if not self._counts[address]:
                del self._counts[address]


class Rate:
    """A token bucket per address. One that is full again is forgotten, so that memory follows the recent past only."""

    def __init__(self, burst: int, per_second: float) -> None:
        self._burst = burst
        self._per_second = per_second
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens and when, longest ago first

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, host: str, now: float) -> bool:
        """Whether there was a token."""
        self._forget_full(now)
        address = counted_address(host)
        tokens, then = self._buckets.pop(address, (float(self._burst), now))
        tokens = min(self._burst, tokens + (now - then) * self._per_second)
        granted = tokens >= 1
        self._buckets[address] = (tokens - 1 if granted else tokens, now)
        return granted

    def _forget_full(self, now: float) -> None:
        while self._buckets:
            address, (_, then) = next(iter(self._buckets.items()))
            if (now - then) * self._per_second < self._burst:
                return
            del self._buckets[address]


def counted_address(host: str) -> str:
    """What a host counts as: itself, or its /64."""
    if ":" not in host:
        return host
    return str(IPv6Network((host, IPV6_PREFIX), strict=False))
