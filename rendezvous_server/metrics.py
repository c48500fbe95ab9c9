"""Gives the server's counts to Prometheus. What is counted is decided elsewhere; here are the names of it."""

from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from rendezvous_server.counts import Counts, Histogram

PREFIX = "rendezvous"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Holds what the server is and has done at one moment."""

    draining: bool
    authenticated: bool  # whether joins and relays must prove a key
    counts: Counts
    connections: int
    phases: dict[str, int]  # connections by phase
    groups: dict[str, int]  # groups by state
    tasks: int  # of the event loop
    log_lines_dropped: int


class SnapshotCollector(Collector):
    """Turns a snapshot into metrics."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        """Yields every metric of the server."""
        now, counts = self._snapshot, self._snapshot.counts
        finished = _counter("connections", "Connections that have ended", "dialect", "outcome")
        for (dialect, outcome), count in counts.finished.items():
            finished.add_metric((dialect, outcome), count)
        yield finished
        limits = _counter("limits_hit", "Clients turned away by a limit", "limit")
        for limit, count in counts.limits.items():
            limits.add_metric((limit,), count)
        yield limits
        yield _counter("groups_expired", "Groups that were not complete in time", value=counts.groups_expired)
        yield _counter("relayed_bytes", "Bytes carried between ranks", value=counts.relayed_bytes)
        yield _counter("log_lines_dropped", "Log lines that nobody took in time", value=now.log_lines_dropped)
        yield _histogram("pairing_wait_seconds", "Pairs: time for which the first waited", counts.pairing_s)
        yield _histogram("group_completion_seconds", "Groups: time from first join to last", counts.group_s)
        yield _histogram("relay_wait_seconds", "Relays: time for which the first end waited", counts.relay_s)
        yield _gauge("connections_open", "Connections at this moment", now.connections)
        phases = GaugeMetricFamily(
            f"{PREFIX}_connections_by_phase", "Connections by what they wait for", None, ["phase"]
        )
        for phase, count in now.phases.items():
            phases.add_metric((phase,), count)
        yield phases
        groups = GaugeMetricFamily(f"{PREFIX}_groups", "Groups at this moment", None, ["state"])
        for state, count in now.groups.items():
            groups.add_metric((state,), count)
        yield groups
        yield _gauge("authenticated", "1 if joins and relays must prove a key, 0 if everybody may", now.authenticated)
        yield _gauge("tasks", "Tasks of the event loop", now.tasks)


def _counter(name: str, text: str, *labels: str, value: float | None = None) -> CounterMetricFamily:
    return CounterMetricFamily(f"{PREFIX}_{name}", text, value, labels or None)


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"{PREFIX}_{name}", text, value)


def _histogram(name: str, text: str, histogram: Histogram) -> HistogramMetricFamily:
    buckets, total = [], 0
    for bound, count in zip((*map(str, histogram.bounds), "+Inf"), histogram.counts, strict=True):
        total += count
        buckets.append((bound, total))
    return HistogramMetricFamily(f"{PREFIX}_{name}", text, buckets, histogram.sum)
