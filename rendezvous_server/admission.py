"""Limits what one address may do: how many connections it has, how often it asks for something. No I/O, no clock."""

from collections import OrderedDict
from ipaddress import IPv6Network
from typing import Generic

from rendezvous_server.effects import ConnT
from rendezvous_server.limits import Limit

IPV6_PREFIX = 64  # one host usually owns a whole /64, so a /64 counts as one address


class ConnectionLimiter(Generic[ConnT]):
    """Counts connections in total and per address, and names the limit that another one would exceed."""

    def __init__(self, at_most: int, per_address: int) -> None:
        self._at_most = at_most
        self._per_address = per_address
        self._addresses: dict[ConnT, str | None] = {}
        self._counts: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._addresses)

    def add(self, connection: ConnT, host: str | None) -> Limit | None:
        """Counts a connection; returns the limit that it exceeds, if any, and then does not count it.

        None as host stands for one that becomes known later, by `locate`.
        """
        if len(self._addresses) >= self._at_most:
            return Limit.CONNECTIONS
        if host is not None:
            return self.locate(connection, host)
        self._addresses[connection] = None
        return None

    def locate(self, connection: ConnT, host: str) -> Limit | None:
        """Takes note of the host of a connection that was added without one; returns the limit that it exceeds."""
        address = counted_address(host) if ":" in host else host
        count = self._counts.get(address, 0)
        if count >= self._per_address:
            return Limit.CONNECTIONS_PER_ADDRESS
        self._addresses[connection] = address
        self._counts[address] = count + 1
        return None

    def remove(self, connection: ConnT) -> None:
        """Counts a connection no longer. One that was not added makes no difference."""
        address = self._addresses.pop(connection, None)
        if address is None:
            return
        count = self._counts[address]
        if count > 1:
            self._counts[address] = count - 1
        else:
            del self._counts[address]


class RateLimiter:
    """Keeps a token bucket per address. One that is full again is dropped, so memory follows the recent past only."""

    def __init__(self, burst: int, per_second: float) -> None:
        self._burst = burst
        self._per_second = per_second
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens and when, longest ago first

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, host: str, now: float) -> bool:
        """Takes a token of this host; False if there is none."""
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
    """Returns what a host counts as: itself, or its /64 in IPv6."""
    if ":" not in host:
        return host
    return str(IPv6Network((host, IPV6_PREFIX), strict=False))
