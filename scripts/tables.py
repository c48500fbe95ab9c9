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
MEASURES = (  # by their keys in summary.json, with their formats
    ("R²", "r2", ".4f"),
    ("MAE", "mae", ".4f"),
    ("MSE", "mse", ".6f"),
    ("bias of Δz", "mean_error", "+.4f"),
    ("bias of Δz/(1+z)", "bias", "+.4f"),
    ("NMAD", "nmad", ".4f"),
    ("σ of Δz/(1+z)", "sigma", ".4f"),  # noqa: RUF001
)
OUTLIERS = (("outliers_005", "0.05"), ("outliers_015", "0.15"))
LARGE = 1e6  # numbers beyond would fill the line with digits


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
    rows += [
        ("parts gathered", ", ".join(f"{count} {name}" for name, count in summary["transports"].items())),
        *accuracy_rows(summary),
        ("wall time", "unknown" if summary["wall_s"] is None else f"{summary['wall_s']:.1f} s"),
        ("throughput", _throughput(summary)),
        ("cost of the run", f"{summary['cost_usd']:.6f} USD (prices: {summary['cost']['prices']})"),
    ]
    rows += [("failed", f"rank {f['rank']}: {f['error']}: {f['cause']}") for f in summary["failed_ranks"]]
    return rows + _attempts(records)


def accuracy_rows(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Makes the rows about accuracy, names and values.

    Args:
        summary: what `Accuracy.to_json` gives, alone or among the content of `summary.json`.
    """
    left_out = {
        "without a true redshift": summary["without_truth"],
        "without a prediction": summary["without_prediction"],
    }
    if not summary["samples_with_truth"]:
        why = "no predictions beside them" if summary["without_prediction"] else "no true redshifts"
        return [("accuracy", f"unknown ({why})")]
    rows = [(name, _measure(summary[key], form)) for name, key, form in MEASURES]
    fractions = [f"{_measure(summary[key], '.2%')} beyond {limit}" for key, limit in OUTLIERS]
    rows.append(("outliers", ", ".join(fractions)))
    if any(left_out.values()):
        rows.append(("not in the accuracy", ", ".join(f"{count:,} {why}" for why, count in left_out.items() if count)))
    return rows


def _throughput(summary: Mapping[str, Any]) -> str:
    if summary["samples_per_s"] is None:
        return "unknown"
    return f"{summary['samples_per_s']:.0f} samples/s, {summary['bits_per_s'] / 1e6:.1f} Mbit/s"


def _attempts(records: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    again = [f"rank {record['rank']} (attempt {record['attempt'] + 1})" for record in records if record["attempt"] > 0]
    return [("tried again", ", ".join(again))] if again else []


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if value < 100 else f"{value:.0f} s"


def _measure(value: float | None, form: str) -> str:
    if value is None:
        return "undefined"
    return format(value, form if abs(value) < LARGE else ".4g")
