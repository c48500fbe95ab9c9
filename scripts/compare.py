"""cosmicai compare: the statistics of runs side by side, ours and those of the published system."""

import argparse
import csv
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.table import Table

from lambda_image.atomic_file import atomic_file
from lambda_image.errors import InvalidEvent
from lambda_image.metrics import LARGE
from scripts.catalogue.run_source import folder_of_run
from scripts.console import output_console, plain_table, print_tables
from scripts.json_file import add_json
from scripts.output_files import write_figures
from scripts.records.reading import S3, read_runs
from scripts.records.statistics import (
    BATCH,
    BITS,
    BY,
    DATA,
    MEAN,
    PARTITION,
    RUN,
    Distribution,
    Row,
    distributions,
    parse_rule,
    row_of,
    with_means,
)
from scripts.user_files import add_overwrite, check_new
from scripts.words import counted

HELP = "put the statistics of runs side by side, of ours and of the published system's"
EXAMPLE = "cosmicai compare out/demo result-partition-25MB/ --csv result_stats.csv"

WIDTH = 118
DIGITS = 2  # of a CSV, as published
SHOWN = (  # a column's key, its heading, its unit, and how it is shown
    (PARTITION, "partition\nMB", 1, ",g"),
    (DATA, "data\nGB", 1, ",g"),
    (BATCH, "batch\nsize", 1, ",g"),
    (RUN, "run", 1, ""),
    ("total_cpu_time (seconds)", "CPU time\nof a rank", 1, ",.2f"),
    ("total_cpu_memory (MB)", "memory\nGB", 1e3, ",.1f"),
    ("throughput_bps", "throughput\nMbit/s", 1e6, ",.1f"),
    (BITS, "data\nMbit", 1e6, ",.0f"),
    ("s3_total_time", "S3\ns", 1, ",.2f"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files",
        nargs="+",
        type=Path,
        metavar="RUN",
        help="the folder of a run's results, its ID where that is in out/, combined_data.json, files of single ranks, "
        "Results.json, or a folder that holds such files",
    )
    parser.add_argument(
        "--outliers", default="1.5iqr", metavar="RULE", help="ranks left out of the mean time; `none` keeps all of them"
    )
    parser.add_argument("--by", choices=tuple(BY), default="data", help="what runs have in common that are repeats")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="the table, with the published columns")
    add_json(parser, "all figures, with the distribution of each key")
    add_overwrite(parser, "the files that --csv and --json name")


def run(args: argparse.Namespace) -> int:
    rule = parse_rule(args.outliers)
    check_new({"--csv": args.csv, "--json": args.json}, overwrite=args.overwrite, read=args.files)
    runs, notes = read_runs([file if file.exists() else folder_of_run(file.name) or file for file in args.files])
    if not runs:
        raise InvalidEvent("no record is left: no rank of these runs had galaxies")
    of_runs = [row_of(one, rule) for one in runs]
    rows = with_means(of_runs, args.by)
    console = output_console(WIDTH)
    print_tables(console, _table(rows))
    spread = [distributions(one, rule) for one in runs]
    if len(runs) == 1:
        print_tables(console, _distribution_table(spread[0]))
    if left_out := sum(row.outliers for row in of_runs):
        verb = "is an outlier" if left_out == 1 else "are outliers"
        notes.append(f"{counted(left_out, 'rank')} {verb} by {args.outliers}, and not in the mean CPU time")
    for note in notes:
        console.print(f"note: {note}", markup=False)
    if args.csv is not None:
        write_csv(args.csv, rows, args.by)
        console.print(f"{counted(len(rows), 'row')} in {args.csv}", markup=False)
    report = {
        "outliers": args.outliers,
        "rows": [{**row.values, "ranks": row.ranks, "outliers": row.outliers} for row in rows],
        "runs": [
            {"place": one.place, "run": one.name, "ranks": len(one.records), "keys": [asdict(key) for key in found]}
            for one, found in zip(runs, spread, strict=True)
        ],
        "notes": notes,
    }
    write_figures(report, args.json, console)
    return 0


def columns(by: str) -> tuple[str, ...]:
    """Names the columns of the published table: `result_stats.csv` by data, `batch_varying_results.csv` by batch."""
    return (*BY[by], RUN, "total_cpu_time (seconds)", "total_cpu_memory (MB)", "throughput_bps", BITS, *S3)


def write_csv(file: Path, rows: Sequence[Row], by: str) -> None:
    """Writes a table with the published columns. Columns about S3 are left out where no record has them.

    Args:
        file: where it goes, at once.
        rows: its rows.
        by: `data` or `batch`.
    """
    names = [name for name in columns(by) if name not in S3 or any(row.values[name] is not None for row in rows)]
    with atomic_file(file) as partial, partial.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened, lineterminator="\n")
        writer.writerow(names)
        writer.writerows([_cell(name, row.values[name]) for name in names] for row in rows)


def _cell(key: str, value: float | str | None) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return f"{value:g}" if key in (PARTITION, BATCH) else str(round(float(value), DIGITS))


def _table(rows: Sequence[Row]) -> Table:
    shown = [column for column in SHOWN if any(row.values[column[0]] is not None for row in rows)]
    table = plain_table("", (), [heading for _, heading, _, _ in shown] + ["ranks"])
    for row in rows:
        cells = [_shown(row.values[key], unit, form) for key, _, unit, form in shown]
        table.add_row(*cells, f"{row.ranks:,}", style="bold" if row.values[RUN] == MEAN else None)
    return table


def _shown(value: float | str | None, unit: float, form: str) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else format(value / unit, form)


def _distribution_table(found: Sequence[Distribution]) -> Table:
    heads = ("ranks", "mean", "sd", "least", "median", "most", "outliers", "mean\nwithout")
    table = plain_table("", ("of each rank",), heads)
    for one in found:
        numbers = (one.mean, one.sd, one.least, one.median, one.most)
        cells = ["-" if number is None else _figure(number) for number in numbers]
        table.add_row(one.key, f"{one.count:,}", *cells, f"{one.outliers:,}", _figure(one.mean_without))
    return table


def _figure(value: float) -> str:
    if abs(value) >= LARGE:
        return f"{value / 1e6:,.2f} M"
    return f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
