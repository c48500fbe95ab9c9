"""Counts what has happened since the start. The counts are plain integers, because every client's way leads past them;
metrics.py hands them to Prometheus."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

from rendezvous_server.effects import Outcome
from rendezvous_server.limits import Limit

DIALECTS = ("pairing", "group", "relay", "probe", "http", "none")  # "none": it ended before it had shown which
# Seconds. From what loopback takes to the timeouts: ranks come together within milliseconds or after a cold start.
BOUNDS_S = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0),
)


class Histogram:
    """Counts values by the first bound that is not less. The last count is that of values beyond all bounds."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


@dataclass(slots=True)
class Counts:
    """Holds every count of the server."""

    finished: dict[tuple[str, Outcome], int] = field(
        default_factory=lambda: {(dialect, outcome): 0 for dialect in DIALECTS for outcome in Outcome}
    )
    limits: dict[Limit, int] = field(default_factory=lambda: dict.fromkeys(Limit, 0))
    groups_expired: int = 0
    relayed_bytes: int = 0
    pairing_s: Histogram = field(default_factory=lambda: Histogram(BOUNDS_S))  # how long the first of a pair waited
    group_s: Histogram = field(default_factory=lambda: Histogram(BOUNDS_S))  # from a group's first join to its last
    relay_s: Histogram = field(default_factory=lambda: Histogram(BOUNDS_S))  # how long a relay's first end waited
