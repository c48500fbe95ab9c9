"""The table of a sweep for people."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

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
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for heading, _ in COLUMNS.values():
        table.add_column(heading, justify="right")
    table.add_column("runs")
    for row in rows:
        cells = ["-" if row[name] is None else format(row[name], form) for name, (_, form) in COLUMNS.items()]
        table.add_row(*cells, f"{row['runs']} of {row['runs'] + row['failed']}")
    return table
