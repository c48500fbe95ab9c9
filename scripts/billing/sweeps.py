"""What the runs of a sweep cost, by configuration or by the size of a partition."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.table import Table

from lambda_image.cost import BillingTerms, usd_of
from scripts.billing.sources import of_records
from scripts.billing.tables import dollars
from scripts.console import plain_table
from scripts.sweep.folder import SUCCEEDED, Measured

GB = 2**30
SETTINGS = ("world_size", "batch_size", "rows", "partition_mb", "memory_mb")
BY_PARTITION = ("partition_mb",)


def sweep_costs(
    runs: Iterable[Measured], terms: BillingTerms, storage_mb: float, by: Sequence[str] = SETTINGS
) -> list[dict[str, Any]]:
    """Computes what the runs of a sweep cost.

    Args:
        runs: those that have ended. Those that failed have no cost.
        terms: what they are billed by.
        storage_mb: size of /tmp of each rank.
        by: which settings make runs one row.

    Returns:
        A row for each combination of these settings, in the order of their first runs, with medians over its runs.
        `usd_per_million` is by galaxies, and `gb_s_per_usd` is GB of images and magnitudes in a second of wall time, by
        the cost.
    """
    groups: dict[tuple[Any, ...], list[dict[str, float | None]]] = {}
    for run in runs:
        if run.status == SUCCEEDED and run.summary is not None and run.records:
            key = tuple(getattr(run.configuration, name) for name in by)
            groups.setdefault(key, []).append(_costs(run.records, run.summary, terms, storage_mb))
    rows = []
    for key, repeats in groups.items():
        row: dict[str, Any] = dict(zip(by, key, strict=True)) | {"runs": len(repeats)}
        for name in repeats[0]:
            known = [value for one in repeats if (value := one[name]) is not None]
            row[name] = statistics.median(known) if known else None
        totals = [one["usd"] or 0.0 for one in repeats]
        rows.append(row | {"usd_least": min(totals), "usd_most": max(totals)})
    return rows


def _costs(
    records: Sequence[Mapping[str, Any]], summary: Mapping[str, Any], terms: BillingTerms, storage_mb: float
) -> dict[str, float | None]:
    with_rendezvous = summary["cost"]["rendezvous_usd"] != 0.0
    lines = of_records(records, summary["world_size"], summary, with_rendezvous).bill(terms, storage_mb)
    usd, galaxies = usd_of(lines), sum(record["samples"] for record in records)
    waiting = sum(line.usd for line in lines if line.part == "ranks waiting in the gather")
    gb = sum(record["bits"] for record in records) / 8 / GB
    return {
        "usd": usd,
        "lambda_usd": usd_of(lines, "Lambda"),
        "waiting_usd": waiting,
        "usd_per_million": usd / galaxies * 1e6 if galaxies else None,
        "gb_s_per_usd": gb / summary["wall_s"] / usd if summary.get("wall_s") else None,
        "wall_s": summary.get("wall_s"),
    }


HEADS = {
    "world_size": "ranks",
    "batch_size": "batch",
    "rows": "galaxies",
    "partition_mb": "file\nMB",
    "memory_mb": "memory",
}


def sweep_cost_table(title: str, rows: Sequence[Mapping[str, Any]], by: Sequence[str] = SETTINGS) -> Table:
    """Makes the table of what a sweep costs. Settings that no run has are left out."""
    shown = [name for name in by if any(row[name] is not None for row in rows)]
    heads = ("runs", "time", "USD", "of it\nwaiting", "least", "most", "USD per\nmillion", "GB/s\nper USD")
    table = plain_table(title, (), [*(HEADS[name] for name in shown), *heads])
    for row in rows:
        settings = ["-" if row[name] is None else f"{row[name]:,g}" for name in shown]
        time = "-" if row["wall_s"] is None else f"{row['wall_s']:,.2f} s"
        costs = [dollars(row[name]) for name in ("usd", "waiting_usd", "usd_least", "usd_most")]
        rates = ["-" if row[name] is None else f"{row[name]:,.4g}" for name in ("usd_per_million", "gb_s_per_usd")]
        table.add_row(*settings, str(row["runs"]), time, *costs, *rates)
    return table
