"""The result of a run as tables for people."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table

RANK_COLUMNS = (
    "rank",
    "samples",
    "cold start",
    "download",
    "inference",
    "samples/s",
    "gather",
    "transport",
    "peak memory",
)


def run_tables(summary: Mapping[str, Any], records: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Per rank and in total, of `summary.json` and `combined_data.json`."""
    ranks = Table(title=f"run {summary['run_id']}: {summary['status']}", title_justify="left")
    retried = any(record["attempt"] > 0 for record in records)
    for name in (*RANK_COLUMNS, *(["attempt"] if retried else [])):
        ranks.add_column(name, justify="left" if name == "transport" else "right")
    for record in records:
        phases = record["phases"]
        ranks.add_row(
            str(record["rank"]),
            f"{record['samples']:,}",
            f"{phases['cold_start_s']:.2f} s",
            f"{phases['download_s']:.2f} s",
            f"{phases['inference_s']:.2f} s",
            f"{record['sample_persec']:.0f}",
            f"{phases['gather_s']:.2f} s",
            record["transport"],
            f"{record['total_process_memory (MB)']:.0f} MB",
            *([str(record["attempt"] + 1)] if retried else []),
        )
    totals = Table(show_header=False, box=None)
    for name, value in _totals(summary):
        totals.add_row(name, value)
    return Group(ranks, totals)


def _totals(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = [
        (
            "galaxies",
            f"{summary['samples']:,} in {summary['partitions_completed']} of {summary['partitions']} partitions",
        ),
        ("parts gathered", ", ".join(f"{count} {name}" for name, count in summary["transports"].items())),
        *(
            (name, _measure(summary[key]))
            for name, key in (("R²", "r2"), ("MAE", "mae"), ("bias", "bias"), ("NMAD", "nmad"))
        ),
        ("wall time", f"{summary['wall_s']:.1f} s"),
        ("throughput", f"{summary['samples_per_s']:.0f} samples/s, {summary['bits_per_s'] / 1e6:.1f} Mbit/s"),
        ("on Lambda", f"{summary['cost_usd']:.6f} USD (prices: {summary['cost']['prices']})"),
    ]
    rows += [("failed", f"rank {f['rank']}: {f['error']}: {f['cause']}") for f in summary["failed_ranks"]]
    return rows


def _measure(value: float | None) -> str:
    return "unknown (no true redshifts)" if value is None else f"{value:.4f}"
