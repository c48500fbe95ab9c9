from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from rendezvous_server.counts import Counts
from rendezvous_server.effects import Outcome
from rendezvous_server.limits import Limit
from rendezvous_server.metrics import Snapshot, SnapshotCollector


def scraped(counts: Counts, **facts: Any) -> dict[tuple[str, ...], float]:
    """The values that a monitoring system reads, by metric and labels."""
    given: dict[str, Any] = {
        "draining": False,
        "authenticated": True,
        "connections": 0,
        "phases": {},
        "groups": {},
        "tasks": 1,
    }
    registry = CollectorRegistry()
    registry.register(SnapshotCollector(Snapshot(**given | {"counts": counts, "log_lines_dropped": 0} | facts)))
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}


def test_each_count_is_found_under_its_name() -> None:
    counts = Counts(groups_expired=2, relayed_bytes=10**12)
    counts.finished["group", Outcome.REPLACED] += 3
    counts.limits[Limit.JOINS] += 4
    values = scraped(counts, connections=5, phases={"member": 6}, groups={"complete": 7}, tasks=8, log_lines_dropped=9)
    expected = {
        ("rendezvous_groups_expired_total",): 2,
        ("rendezvous_relayed_bytes_total",): 10**12,
        ("rendezvous_connections_total", "group", str(Outcome.REPLACED)): 3,
        ("rendezvous_limits_hit_total", "joins"): 4,
        ("rendezvous_connections_open",): 5,
        ("rendezvous_connections_by_phase", "member"): 6,
        ("rendezvous_groups", "complete"): 7,
        ("rendezvous_tasks",): 8,
        ("rendezvous_log_lines_dropped_total",): 9,
    }
    assert {name: values[name] for name in expected} == expected


def test_what_has_not_happened_is_there_as_zero() -> None:
    """A rate of something that appears only with its first event misses that event."""
    values = scraped(Counts())
    assert {values["rendezvous_limits_hit_total", str(limit)] for limit in Limit} == {0}
    assert {values["rendezvous_connections_total", "group", str(outcome)] for outcome in Outcome} == {0}


def test_the_buckets_of_a_histogram_add_up_from_below() -> None:
    counts = Counts()
    for seconds in (0.0005, 0.002, 0.002, 1000.0):
        counts.pairing_s.observe(seconds)
    values = scraped(counts)
    name = "rendezvous_pairing_wait_seconds"
    assert [values[f"{name}_bucket", bound] for bound in ("0.001", "0.0025", "300.0", "+Inf")] == [1, 3, 3, 4]
    assert values[f"{name}_count",] == 4
    assert values[f"{name}_sum",] == 1000.0045
