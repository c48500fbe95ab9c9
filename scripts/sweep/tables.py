"""The tables of a sweep: a row for each run, and one for each rank of each run."""

import csv
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lambda_image.cost import BILLED_MS, rounded_up
from scripts.sweep.folder import SUCCEEDED, Measured

Row = dict[str, Any]
OF_CONFIGURATION = {  # columns by the fields of a configuration
    "world_size": "world_size",
    "batch_size": "batch_size",
    "rows": "rows",
    "partition_mb": "partition_mb",
    "partitions": "partitions",
    "copies": "copies",
    "file_limit": "file_limit",
    "memory_mb": "memory_mb",
    "repeat": "repeat",
}
OF_SUMMARY = (
    "wall_s",
    "samples",
    "samples_per_s",
    "bits_per_s",
    "cost_usd",
    "r2",
    "mae",
    "mse",
    "bias",
    "nmad",
    "sigma",
)
MEANS = {  # over ranks, by the columns that have them
    "cold_start_s": lambda record: record["phases"]["cold_start_s"],
    "download_s": lambda record: record["phases"]["download_s"],
    "inference_s": lambda record: record["phases"]["inference_s"],
    "gather_s": lambda record: record["phases"]["gather_s"],
    "rank_s": lambda record: record["phases"]["total_s"],
    "seconds_per_batch": lambda record: record["execution_time (seconds/batch)"],
    "rank_samples_per_s": lambda record: record["sample_persec"],
    "rank_bits_per_s": lambda record: record["throughput_bps"],
    "billed_s": lambda record: rounded_up(record["phases"]["cold_start_s"] + record["phases"]["total_s"], BILLED_MS),
}
OF_STATES = {"init_s": "init_s", "map_s": "map_s", "total_s": "execution_s"}  # columns by what the history tells
RUN_COLUMNS = (
    *OF_CONFIGURATION,
    *("status", "reason"),
    *OF_SUMMARY,
    *OF_STATES.values(),
    *MEANS,
    *("batches", "peak_memory_mb", "gathered"),
)
RANK_COLUMNS = (
    *OF_CONFIGURATION,
    *("rank", "attempt", "samples", "transport", "engine"),
    *("cold_start_s", "download_s", "inference_s", "write_s", "gather_s", "total_s"),
    *("seconds_per_batch", "samples_per_s", "bits_per_s", "peak_memory_mb", "s3_requests"),
)


def run_rows(runs: Iterable[Measured]) -> list[Row]:
    """Makes a row for each run, with the columns RUN_COLUMNS. What a run did not yield is None."""
    return [_run_row(run) for run in runs]


def _run_row(run: Measured) -> Row:
    row: Row = dict.fromkeys(RUN_COLUMNS)
    row |= {column: getattr(run.configuration, field) for column, field in OF_CONFIGURATION.items()}
    row |= {"status": run.status, "reason": run.reason}
    if run.summary is not None:
        row |= {name: run.summary[name] for name in OF_SUMMARY} | {"gathered": run.summary["gathered"]}
    if run.states is not None:
        row |= {column: run.states.get(name) for name, column in OF_STATES.items()}
    if run.records:
        row |= {name: statistics.fmean(map(of, run.records)) for name, of in MEANS.items()}
        row["batches"] = sum(record["num_batches"] for record in run.records)
        row["peak_memory_mb"] = max(record["total_process_memory (MB)"] for record in run.records)
    return row


def rank_rows(runs: Iterable[Measured]) -> list[Row]:
    """Makes a row for each rank of each run, with the columns RANK_COLUMNS."""
    return [_rank_row(run, record) for run in runs for record in run.records]


def _rank_row(run: Measured, record: Mapping[str, Any]) -> Row:
    phases = record["phases"]
    return {
        **{column: getattr(run.configuration, field) for column, field in OF_CONFIGURATION.items()},
        **{name: record[name] for name in ("rank", "attempt", "samples", "transport", "engine")},
        **{name: phases[name] for name in RANK_COLUMNS if name in phases},
        "seconds_per_batch": record["execution_time (seconds/batch)"],
        "samples_per_s": record["sample_persec"],
        "bits_per_s": record["throughput_bps"],
        "peak_memory_mb": record["total_process_memory (MB)"],
        "s3_requests": record["s3_num_requests"],
    }


def write_tables(runs: Sequence[Measured], folder: Path) -> list[Path]:
    """Writes runs and ranks as CSV and Parquet.

    Args:
        runs: What was measured.
        folder: Where they go.

    Returns:
        The files.

    Raises:
        OSError: They cannot be written.
    """
    from arro3.core import Array, DataType, Table
    from arro3.io import write_parquet

    written = []
    for name, columns, rows in (("runs", RUN_COLUMNS, run_rows(runs)), ("ranks", RANK_COLUMNS, rank_rows(runs))):
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        values = {column: [row[column] for row in rows] for column in columns}
        types = {
            "string": DataType.string(),
            "int": DataType.int64(),
            "float": DataType.float64(),
            "bool": DataType.bool(),
        }
        arrays: dict[str, Any] = {column: Array(of, type=types[_kind(of)]) for column, of in values.items()}
        write_parquet(Table.from_pydict(arrays), folder / f"{name}.parquet")
        written += [folder / f"{name}.csv", folder / f"{name}.parquet"]
    return written


def _kind(values: Sequence[Any]) -> str:
    """The type of a column. One without values has numbers, since all columns of texts have some or none at all."""
    kinds = {type(value) for value in values if value is not None}
    if str in kinds:
        return "string"
    if kinds == {bool}:
        return "bool"
    return "int" if kinds == {int} else "float"


def medians(rows: Iterable[Mapping[str, Any]]) -> list[Row]:
    """Puts repeats together: medians of what was measured, with how many runs succeeded.

    Args:
        rows: What `run_rows` gives.

    Returns:
        A row for each configuration, in the order of their first runs. `runs` and `failed` count its repeats, and
        `wall_s_least` and `wall_s_most` are their spread.
    """
    settings = [column for column in OF_CONFIGURATION if column != "repeat"]
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(row[column] for column in settings), []).append(row)
    together = []
    for repeats in groups.values():
        good = [row for row in repeats if row["status"] == SUCCEEDED]
        one: Row = {column: repeats[0][column] for column in settings}
        one |= {"runs": len(good), "failed": len(repeats) - len(good)}
        one["reason"] = next((row["reason"] for row in repeats if row["reason"]), None)
        for column in (*OF_SUMMARY, *OF_STATES.values(), *MEANS, "batches", "peak_memory_mb"):
            measured = [row[column] for row in good if row[column] is not None]
            one[column] = statistics.median(measured) if measured else None
        walls = [row["wall_s"] for row in good if row["wall_s"] is not None]
        one |= {"wall_s_least": min(walls, default=None), "wall_s_most": max(walls, default=None)}
        together.append(one)
    return together
