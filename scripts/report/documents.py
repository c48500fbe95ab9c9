"""The tables of the published documents, made of the runs of a preset. Their headings are the documents'. No I/O."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from lambda_image.metrics import NMAD_FACTOR
from scripts.local_results import PUBLISHED_FACTOR
from scripts.report.baseline import Baseline, against_baselines
from scripts.report.figure import Figure, Value, six_digits

Row = Mapping[str, Any]
MONTH_OF_RUNS = 1000  # by which the documents price a month
GB_IN_MB = 1000  # of sizes that users choose
GIB_IN_MIB = 1024  # of memory


@dataclass(frozen=True)
class DocumentTable:
    """Says how a table is made.

    Attributes:
        name: What its file is called.
        title: Stands above it.
        caption: Says what is measured otherwise than there.
        columns: What a row has, by the heading of the document. A word is a column of `scripts.sweep.tables.medians`.
    """

    name: str
    title: str
    caption: str
    columns: Mapping[str, str | Callable[[Row], Value]]


def _times(name: str, factor: float) -> Callable[[Row], Value]:
    return lambda row: None if row[name] is None else row[name] * factor


def _gigabytes(row: Row) -> float:
    files = row["partitions"] if row["file_limit"] is None else min(row["file_limit"], row["partitions"])
    return float(files * row["partition_mb"] / GB_IN_MB)


BY_FUNCTION: Mapping[str, str | Callable[[Row], Value]] = {
    "Duration (s)": "rank_s",
    "Memory (GB)": _times("peak_memory_mb", 1 / GIB_IN_MIB),
    "Cost ($)": "cost_usd",
    "Throughput (bps)": "rank_bits_per_s",
    "Run Time (s)": "wall_s",
    "Run Throughput (bps)": "bits_per_s",
}
DATA: Mapping[str, str | Callable[[Row], Value]] = {
    "Partition Size (MB)": "partition_mb",
    "Data Size (GB)": _gigabytes,
    "Batch Size": "batch_size",
    "World Size": "world_size",
}
OF_A_FUNCTION = (
    "Duration, memory and throughput are means or maxima over the ranks, each counted by itself. The last two columns "
    "are of the run as a whole."
)
TABLES: Mapping[str, Sequence[DocumentTable]] = {  # by the preset
    "states": [
        DocumentTable(
            "states",
            "How long the states take",
            "Until the Map began, the Map, and the whole execution, by its history.",
            {
                "World Size": "world_size",
                "Lambda Init Duration (sec)": "init_s",
                "MapState Duration (sec)": "map_s",
                "Step Function Duration (sec)": "execution_s",
            },
        )
    ],
    "worlds": [
        DocumentTable(
            "worlds",
            "World sizes and batch sizes",
            "The time is the wall time of a run, and its throughput counts all galaxies over that time.",
            {
                "World Size": "world_size",
                "Batch Size": "batch_size",
                "Duration (s)": "wall_s",
                "Memory (MB)": "peak_memory_mb",
                "Cost ($)": "cost_usd",
                "Throughput (records/sec)": "samples_per_s",
            },
        )
    ],
    "batches": [
        DocumentTable(
            "batches",
            "Batch sizes on one rank",
            "The time and the throughput are of the engine. Memory is the largest of the process.",
            {
                "Batch Size": "batch_size",
                "Total Time (s)": "inference_s",
                "Throughput (bps)": "rank_bits_per_s",
                "Time/Batch (s)": "seconds_per_batch",
                "Num Batches": "batches",
                "R² Score": "r2",
                "MAE": "mae",
                "MSE": "mse",
                "Bias": "bias",
                "Precision": _times("nmad", PUBLISHED_FACTOR / NMAD_FACTOR),
                "CPU Mem (MB)": "peak_memory_mb",
                "Est. Cost (USD)": "cost_usd",
            },
        ),
        DocumentTable(
            "billed",
            "What a function takes, by batch size",
            "The duration is that of the invocation. The billed one counts the cold start, too, in whole milliseconds.",
            {
                "Batch Size": "batch_size",
                "Total Batches": "batches",
                "Total CPU Run Time (sec)": "inference_s",
                "Total CPU Memory (Mb)": "peak_memory_mb",
                "Execution Time (sec)": "seconds_per_batch",
                "Sample Size per Second": "rank_samples_per_s",
                "Duration (sec)": "rank_s",
                "Billed Duration (sec)": "billed_s",
                "Max Memory Used (MB)": "peak_memory_mb",
            },
        ),
    ],
    "partitions": [
        DocumentTable("partitions", "Partition sizes", OF_A_FUNCTION, {**DATA, **BY_FUNCTION}),
        DocumentTable(
            "datasets",
            "Partition sizes, by batch",
            f"The time is that of a batch, and a month has {MONTH_OF_RUNS:,} runs.",
            {
                "Dataset (MB)": "partition_mb",
                "Batch Size": "batch_size",
                "Input Partitions": "partitions",
                "Avg Time (s)": "seconds_per_batch",
                "Memory (MB)": "peak_memory_mb",
                "Throughput (bps)": "bits_per_s",
                "Monthly Cost ($)": _times("cost_usd", MONTH_OF_RUNS),
            },
        ),
    ],
    "file-limits": [
        DocumentTable("file_limits", "File limits", OF_A_FUNCTION, {"File Limit": "file_limit", **DATA, **BY_FUNCTION})
    ],
    "memory": [
        DocumentTable(
            "memory",
            "Memory sizes",
            "The duration is that of the invocation. The billed one counts the cold start, too, in whole milliseconds.",
            {
                "Memory Size (MB)": "memory_mb",
                "Batch Size": "batch_size",
                "Duration (sec)": "rank_s",
                "Init Duration (sec)": "cold_start_s",
                "Billed Duration (sec)": "billed_s",
                "Max Memory Used (MB)": "peak_memory_mb",
                "Sample Size per Second": "rank_samples_per_s",
                "Cost ($)": "cost_usd",
                "Reason": "reason",
            },
        )
    ],
}
COMPARED = ("scenarios", "comparison")  # presets that stand beside a local machine


def document_figures(
    preset: str | None, runs: Sequence[Row], together: Sequence[Row], baselines: Sequence[Baseline]
) -> list[Figure]:
    """Makes the tables that the documents have of these runs.

    Args:
        preset: The preset that the runs are of; None for others.
        runs: A row for each run, as `scripts.sweep.tables.run_rows` gives them.
        together: A row for each configuration, as `medians` gives them.
        baselines: What a local machine took.

    Returns:
        The tables. There are none for runs that no document has.
    """
    figures = [_figure(table, together) for table in TABLES.get(preset or "", ())]
    if preset == "worlds":
        figures.append(_averages(runs))
    if baselines:
        figures.append(against_baselines(together, baselines))
        if preset in COMPARED:
            figures.append(_months(together, baselines))
    return [figure for figure in figures if figure.rows]


def _figure(table: DocumentTable, together: Sequence[Row]) -> Figure:
    rows = [
        [six_digits(row[of] if isinstance(of, str) else of(row)) for of in table.columns.values()] for row in together
    ]
    return Figure(table.name, table.title, table.caption, list(table.columns), rows, wide=True)


def _averages(runs: Sequence[Row]) -> Figure:
    """Means over all runs of a world size, whatever their batch sizes."""
    rows: list[Sequence[Value]] = []
    for ranks in sorted({run["world_size"] for run in runs}):
        of = [run for run in runs if run["world_size"] == ranks and run["wall_s"]]
        if of:
            rows.append((ranks, *(six_digits(fmean(run[name] for run in of)) for name in ("wall_s", "samples_per_s"))))
    columns = ("World Size", "Avg Time (s)", "Throughput (records/sec)")
    caption = "Means over the batch sizes of the wall time and of the throughput."
    return Figure("world_averages", "Average performance by world size", caption, columns, rows, wide=True)


def _months(together: Sequence[Row], baselines: Sequence[Baseline]) -> Figure:
    """What a month of runs of one rank costs, here and on Lambda."""
    beside = against_baselines([row for row in together if row["world_size"] == 1], baselines)
    columns = ("Batch", "Galaxies", "Local ($)", "Distributed ($)", "Save")
    place = [beside.columns.index(name) for name in ("Batch Size", "Galaxies", "Local Cost ($)", "Dist Cost ($)")]
    rows: list[Sequence[Value]] = []
    for row in beside.rows:
        batch, galaxies, local, run = (row[number] for number in place)
        assert isinstance(local, float)
        assert isinstance(run, float)
        rows.append((batch, galaxies, six_digits(local * MONTH_OF_RUNS), six_digits(run * MONTH_OF_RUNS), row[-1]))
    caption = f"A month of {MONTH_OF_RUNS:,} runs. What is saved is negative where the runs cost more."
    return Figure("months", f"A month of {MONTH_OF_RUNS:,} runs", caption, columns, rows, wide=True)
