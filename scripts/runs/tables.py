"""The result of a run as tables for people."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lambda_image.metrics import accuracy_rows
from scripts.console import plain_table
from scripts.words import counted

Record = Mapping[str, Any]
MOST_ROWS = 64  # of ranks, beyond which their figures are put together
SLOWEST, NAMED = 10, 5  # ranks that are shown then, and those of one kind that are named


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if value < 100 else f"{value:.0f} s"


RANK_FIGURES: Mapping[str, tuple[Callable[[Record], float], Callable[[float], str]]] = {
    # in two lines where that spares width: they fit a terminal of 80 columns
    "samples": (lambda record: record["samples"], "{:,.0f}".format),
    "cold\nstart": (lambda record: record["phases"]["cold_start_s"], _seconds),
    "download": (lambda record: record["phases"]["download_s"], _seconds),
    "infer": (lambda record: record["phases"]["inference_s"], _seconds),
    "samples\nper s": (lambda record: record["sample_persec"], "{:.0f}".format),
    "gather": (lambda record: record["phases"]["gather_s"], _seconds),
    "peak\nmemory": (lambda record: record["total_process_memory (MB)"], "{:.0f} MB".format),
}


def run_tables(summary: Mapping[str, Any], records: Sequence[Record]) -> RenderableType:
    """Makes the tables of a run, of each rank and of all together.

    Of very many ranks, the figures are put together, and the slowest ranks are shown.

    Args:
        summary: the content of `summary.json`.
        records: the content of `combined_data.json`.
    """
    title = f"run {summary['run_id']}: {summary['status']}"
    ranks = plain_table(title, (), (), narrow=True)
    for name in ("rank", *list(RANK_FIGURES)[:-1], "transport", "peak\nmemory"):
        ranks.add_column(name, justify="left" if name == "transport" else "right")
    shown: Sequence[Record] = records
    if len(records) > MOST_ROWS:
        for word, choose in (("least", min), ("median", median), ("most", max)):
            figures = [show(choose(map(figure, records))) for figure, show in RANK_FIGURES.values()]
            ranks.add_row(word, *figures[:-1], "", figures[-1], end_section=word == "most")
        shown = sorted(records, key=_duration, reverse=True)[:SLOWEST]
    for record in shown:
        figures = [show(figure(record)) for figure, show in RANK_FIGURES.values()]
        ranks.add_row(str(record["rank"]), *figures[:-1], record["transport"], figures[-1])
    whole = Table(show_header=False, box=None)
    for name, value in totals(summary, records):
        whole.add_row(name, value)
    if shown is records:
        return Group(ranks, whole)
    note = f"These are the least, median and most of {len(records):,} ranks, and the {SLOWEST} slowest ranks."
    return Group(ranks, Text(note), whole)


def _duration(record: Record) -> float:
    """Seconds that a rank was billed for."""
    return float(record["phases"]["cold_start_s"] + record["phases"]["total_s"])


def totals(summary: Mapping[str, Any], records: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Makes the rows about a run as a whole, names and values.

    Args:
        summary: the content of `summary.json`.
        records: the content of `combined_data.json`.
    """
    rows = [("galaxies", _galaxies(summary))]
    if idle := summary["ranks_completed"] - sum(record["error"] is None for record in records):
        rows.append(("without galaxies", counted(idle, "rank")))
    ways = Counter(record["transport"] for record in records)  # of ranks with galaxies, as the table above has them
    rows += [
        ("parts gathered", ", ".join(f"{ways[name]} {name}" for name in sorted(ways)) or "none"),
        *accuracy_rows(summary),
        ("error bars", error_bars(summary.get("distributions"), _own_errors(records), summary["samples_with_truth"])),
        ("wall time", "unknown" if summary["wall_s"] is None else f"{summary['wall_s']:.1f} s"),
        ("throughput", _throughput(summary)),
        ("cost of the run", f"{summary['cost_usd']:.6f} USD (prices: {summary['cost']['prices']})"),
    ]
    return rows + _failures(summary["failed_ranks"]) + _attempts(records)


def _galaxies(summary: Mapping[str, Any]) -> str:
    """Where rows of one dataset are dealt, any rank that succeeds completes that one partition, which says little."""
    if rows := summary.get("dataset_rows"):  # summaries of earlier versions lack it
        return f"{summary['samples']:,} of {rows:,} rows of one dataset"
    partitions = counted(summary["partitions"], "partition")
    return f"{summary['samples']:,} in {summary['partitions_completed']} of {partitions}"


def _own_errors(records: Sequence[Mapping[str, Any]]) -> bool:
    return any((record["predictions"] or {}).get("errors") for record in records)


def error_bars(found: Mapping[str, Any] | None, own: bool = False, measured: int = 0) -> str:
    """Says how right the redshift distributions of a run are.

    Args:
        found: `distributions` of the summary.
        own: whether the model itself gives uncertainties.
        measured: galaxies whose prediction and true redshift are known.
    """
    if found is None and own:
        return "the model's own, which cosmicai evaluate judges, as the weights have no calibration"
    if found is None:
        return "none, because the weights have no calibration (cosmicai calibrate makes one)"
    if not found["with_truth"]:
        return f"of {counted(found['galaxies'], 'galaxy', 'galaxies')}, with no true redshifts to judge them by"
    shares = f"{found['coverage_68']:.1%} of true redshifts within 68%, {found['coverage_95']:.1%} within 95%"
    words = f"{shares}, PIT off by {found['pit_ks']:.3f}, CDE loss {found['cde_loss']:.2f}"
    if found["with_truth"] >= measured:
        return words
    return f"{words}, of {found['with_truth']:,} of {measured:,} galaxies, as not all ranks left distributions"


def _throughput(summary: Mapping[str, Any]) -> str:
    if summary["samples_per_s"] is None:
        return "unknown"
    return f"{summary['samples_per_s']:,.0f} samples/s, {summary['bits_per_s'] / 1e6:,.1f} Mbit/s"


def _attempts(records: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    last = {record["rank"]: max(record["attempt"], record.get("adopted_by") or 0) for record in records}
    again = [f"rank {rank} (attempt {attempt + 1})" for rank, attempt in last.items() if attempt > 0]
    if len(again) > MOST_ROWS:
        again = [*again[:NAMED], f"and {len(again) - NAMED:,} more"]
    return [("tried again", ", ".join(again))] if again else []


def _failures(failed: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Each rank that failed, or the kinds of failure where these are many, with the first rank's cause."""
    if len(failed) <= SLOWEST:
        return [("failed", f"rank {f['rank']}: {f['error']}: {f['cause']}") for f in failed]
    rows = []
    for error, count in Counter(f["error"] for f in failed).most_common():
        of_kind = [f for f in failed if f["error"] == error]
        named = ", ".join(str(f["rank"]) for f in of_kind[:NAMED])
        more = f" and {count - NAMED:,} more" if count > NAMED else ""
        what = f"{counted(count, 'rank')}: {error} ({named}{more}). Rank {of_kind[0]['rank']}: {of_kind[0]['cause']}"
        rows.append(("failed", what))
    return rows
