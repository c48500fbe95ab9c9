"""All figures of a run, in the order in which the page shows them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from scripts.report.accuracy_figures import accuracy_figures, quality_figures
from scripts.report.distribution_figures import distribution_figures
from scripts.report.figure import Figure, axis, bars, kind, tooltip
from scripts.report.per_rank import per_rank
from scripts.report.run_facts import RunFacts
from scripts.report.timeline import phases, timeline
from scripts.words import counted

Record = Mapping[str, Any]
COST_PARTS = {  # by their keys in `cost` of summary.json
    "lambda_usd": "Lambda",
    "step_functions_usd": "Step Functions",
    "s3_usd": "S3",
    "rendezvous_usd": "rendezvous server",
}
S3_KEYS = {"s3_min_time": "shortest request", "s3_avg_time": "mean", "s3_max_time": "longest request"}
DIGITS = 9  # of US dollars
FEW = 10  # counts, of which an axis names each


def run_figures(facts: RunFacts) -> list[Figure]:
    """Makes the figures of a run. What the run has no numbers for has no figure."""
    figures = [timeline(facts), phases(facts), throughput(facts)] if facts.records else []
    figures += accuracy_figures(facts)
    figures += distribution_figures(facts)
    figures += quality_figures(facts)
    figures += [*costs(facts), *transports(facts)]
    if facts.records:
        figures += [starts(facts), memory(facts), *s3_times(facts)]
    return figures


def throughput(facts: RunFacts) -> Figure:
    """Draws how fast each rank inferred."""
    rows = [("inference", record["rank"], record["sample_persec"]) for record in facts.records]
    caption = "The speed counts the time in the engine, and no waiting for data."
    return per_rank("throughput", "Speed of inference", caption, "galaxies per second", rows)


def costs(facts: RunFacts) -> Iterator[Figure]:
    """Draws the cost by part."""
    cost = facts.summary.get("cost") or {}
    rows = [(name, round(cost[key], DIGITS)) for key, name in COST_PARTS.items() if cost.get(key) is not None]
    if not rows:
        return
    caption = f"The run costs {facts.summary['cost_usd']:.6f} USD in all, at the prices of {cost.get('prices')}."
    yield _bars("cost", "Cost by part", caption, ("part", "US dollars"), rows, format="~g")


def transports(facts: RunFacts) -> Iterator[Figure]:
    """Draws how the ranks' parts travelled to the rank that gathers, which is not always rank 0."""
    rows = list((facts.summary.get("transports") or {}).items())
    if not rows:
        return
    caption = "Self is the part of the rank that gathers. A part that came by storage was read from S3, not gathered."
    columns = ("transport", "parts")
    most = max(count for _, count in rows)
    named = {"values": list(range(most + 1))} if most < FEW else {}
    yield _bars("transports", "How parts were gathered", caption, columns, rows, format=",d", **named)


def _bars(
    name: str, title: str, caption: str, columns: tuple[str, str], rows: Sequence[tuple[str, float]], **of_axis: Any
) -> Figure:
    """A bar for each row, the longest first, of what the first column names and the second counts."""
    spec = {
        "height": bars(len(rows)),
        "mark": {"type": "bar"},
        "encoding": {
            "x": axis(columns[1], axis=of_axis),
            "y": kind(columns[0], "", sort="-x"),
            "tooltip": tooltip(*columns),
        },
    }
    return Figure(name, title, caption, columns, rows, spec)


def starts(facts: RunFacts) -> Figure:
    """Draws how long ranks took to start, cold and warm ones apart."""
    rows = [
        ("cold start" if (seconds := record["phases"]["cold_start_s"]) else "warm start", record["rank"], seconds)
        for record in facts.records
    ]
    warm = sum(row[0] == "warm start" for row in rows)
    caption = f"{counted(warm, 'rank')} of {len(rows):,} found a process that had worked before."
    return per_rank("starts", "Cold and warm starts", caption, "seconds until the rank could work", sorted(rows))


def memory(facts: RunFacts) -> Figure:
    """Draws the largest memory of each rank."""
    rows = [("peak memory", record["rank"], record["total_process_memory (MB)"]) for record in facts.records]
    caption = f"A function had {facts.records[0]['memory_size_mb']:,} MB."
    return per_rank("memory", "Peak memory", caption, "MB of 2^20 bytes", rows)


def s3_times(facts: RunFacts) -> Iterator[Figure]:
    """Draws how long S3 took to answer each rank."""
    rows = [
        (name, record["rank"], record[key])
        for key, name in S3_KEYS.items()
        for record in facts.records
        if record.get(key) is not None
    ]
    if rows:
        caption = "A request lasts from its start until S3 begins to answer, retries included."
        yield per_rank("s3_times", "Answers of S3", caption, "seconds", rows)
