"""The tables of a sweep for people."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from scripts.console import plain_table
from scripts.report.baseline import read_baseline
from scripts.report.documents import document_figures
from scripts.report.figure import Figure, Value
from scripts.runs import outcome
from scripts.sweep.beside import local_results
from scripts.sweep.folder import SweepFolder
from scripts.sweep.tables import Row, medians, run_rows

LARGE, MILLIONS = 1e4, 1e6  # from which on a number has no fraction, and from which on it is so many M, as published

COLUMNS = {  # headings by columns of `medians`, with formats
    "world_size": ("ranks", ",d"),
    "batch_size": ("batch", ",d"),
    "rows": ("galaxies", ",d"),
    "partitions": ("files", ",d"),
    "wall_s": ("wall\ntime (s)", ".2f"),
    "samples_per_s": ("galaxies\nper s", ".0f"),
    "seconds_per_batch": ("s per\nbatch", ".3f"),
    "inference_s": ("infer\n(s)", ".2f"),
    "peak_memory_mb": ("peak\nMB", ".0f"),
    "cost_usd": ("USD", ".6f"),
    "r2": ("R²", ".4f"),
}


def sweep_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Makes the table of a sweep, of medians over repeats.

    Args:
        rows: What `medians` gives.
    """
    table = plain_table("", (), [heading for heading, _ in COLUMNS.values()], narrow=True)
    table.add_column("runs")
    for row in rows:
        cells = ["-" if row[name] is None else format(row[name], form) for name, (_, form) in COLUMNS.items()]
        table.add_row(*cells, f"{row['runs']} of {row['runs'] + row['failed']}")
    return table


def show_sweep(folder: SweepFolder) -> list[Row]:
    """Prints the table of a sweep and those that the documents have of it, and writes these beside its runs as CSV.

    Args:
        folder: The sweep.

    Returns:
        A row for each configuration, as `medians` gives them.

    Raises:
        OSError: A table cannot be written.
    """
    rows = run_rows(folder.runs())
    together = medians(rows)
    outcome.show(sweep_table(together))
    baselines = [read_baseline(file) for file in local_results(folder.path)]
    for figure in document_figures(folder.preset(), rows, together, baselines):
        (folder.path / f"{figure.name}.csv").write_text(figure.to_csv(), encoding="utf-8")
        outcome.show(document_table(figure))
    return together


def document_table(figure: Figure) -> Table:
    """Makes a table of the documents for a terminal."""
    headings = [heading.replace(" ", "\n").replace("/", "/\n") for heading in figure.columns]
    table = plain_table(f"\n{figure.title}", (), headings, narrow=True)
    for row in figure.rows:
        table.add_row(*(shown(value) for value in row))
    return table


def shown(value: Value) -> str:
    """Shows a number with four digits, and one that is large without a fraction or in millions (M)."""
    if isinstance(value, float):
        if abs(value) >= MILLIONS:
            return f"{value / MILLIONS:,.2f}M"
        return f"{value:,.0f}" if abs(value) >= LARGE else f"{value:.4g}"
    return "-" if value is None else value if isinstance(value, str) else f"{value:,}"
