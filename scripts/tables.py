"""The result of a run as tables for people."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table

from lambda_image.metrics import accuracy_rows
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
    whole = Table(show_header=False, box=None)
    for name, value in totals(summary, records):
        whole.add_row(name, value)
    return Group(ranks, whole)


def totals(summary: Mapping[str, Any], records: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Makes the rows about a run as a whole, names and values.

    Args:
        summary: the content of `summary.json`.
        records: the content of `combined_data.json`.
    """
    galaxies = f"{summary['samples']:,} in {summary['partitions_completed']} of "
    rows = [("galaxies", galaxies + counted(summary["partitions"], "partition"))]
    if idle := summary["ranks_completed"] - sum(record["error"] is None for record in records):
        rows.append(("without galaxies", counted(idle, "rank")))
    ways = Counter(record["transport"] for record in records)  # of ranks with galaxies, as the table above has them
    rows += [
        ("parts gathered", ", ".join(f"{ways[name]} {name}" for name in sorted(ways)) or "none"),
        *accuracy_rows(summary),
        ("wall time", "unknown" if summary["wall_s"] is None else f"{summary['wall_s']:.1f} s"),
        ("throughput", _throughput(summary)),
        ("cost of the run", f"{summary['cost_usd']:.6f} USD (prices: {summary['cost']['prices']})"),
    ]
    rows += [("failed", f"rank {f['rank']}: {f['error']}: {f['cause']}") for f in summary["failed_ranks"]]
    return rows + _attempts(records)


def _throughput(summary: Mapping[str, Any]) -> str:
    if summary["samples_per_s"] is None:
        return "unknown"
    return f"{summary['samples_per_s']:.0f} samples/s, {summary['bits_per_s'] / 1e6:.1f} Mbit/s"


def _attempts(records: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    last = {record["rank"]: max(record["attempt"], record.get("adopted_by") or 0) for record in records}
    again = [f"rank {rank} (attempt {attempt + 1})" for rank, attempt in last.items() if attempt > 0]
    return [("tried again", ", ".join(again))] if again else []


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if value < 100 else f"{value:.0f} s"
