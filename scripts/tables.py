"""The result of a run as tables for people."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table

from scripts.words import counted

RANK_COLUMNS = (  # in two lines where that spares width: they fit a terminal of 80 columns
    "rank",
    "samples",
    "cold\nstart",
    "download",
    "infer",
    "samples\nper s",
    "gather",
    "transport",
    "peak\nmemory",
)


def run_tables(summary: Mapping[str, Any], records: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Makes the tables of a run, of each rank and of all together.

    Args:
        summary: the content of `summary.json`.
        records: the content of `combined_data.json`.
    """
    title = f"run {summary['run_id']}: {summary['status']}"
    ranks = Table(
        title=title, title_justify="left", box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0)
    )
    for name in RANK_COLUMNS:
        ranks.add_column(name, justify="left" if name == "transport" else "right")
    for record in records:
        phases = record["phases"]
        ranks.add_row(
            str(record["rank"]),
            f"{record['samples']:,}",
            _seconds(phases["cold_start_s"]),
            _seconds(phases["download_s"]),
            _seconds(phases["inference_s"]),
            f"{record['sample_persec']:.0f}",
            _seconds(phases["gather_s"]),
            record["transport"],
            f"{record['total_process_memory (MB)']:.0f} MB",
        )
    totals = Table(show_header=False, box=None)
    for name, value in (*_totals(summary), *_attempts(records)):
        totals.add_row(name, value)
    return Group(ranks, totals)


def _totals(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = [
        (
            "galaxies",
            f"{summary['samples']:,} in {summary['partitions_completed']} of "
            + counted(summary["partitions"], "partition"),
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


def _attempts(records: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    again = [f"rank {record['rank']} (attempt {record['attempt'] + 1})" for record in records if record["attempt"] > 0]
    return [("tried again", ", ".join(again))] if again else []


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if value < 100 else f"{value:.0f} s"


def _measure(value: float | None) -> str:
    return "unknown (no true redshifts)" if value is None else f"{value:.4f}"
