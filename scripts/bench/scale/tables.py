"""The figures as tables for people."""

from rich.console import Group, RenderableType
from rich.table import Table

from scripts.bench.formatting import MEDIANS, NOTHING, format_spread
from scripts.bench.scale.init_part import CPU, ITEM, LISTS, PEAK, SECONDS
from scripts.bench.scale.measure import ScaleResults
from scripts.series import Series

INIT = {
    SECONDS: "s",
    CPU: "processor s",
    PEAK: "peak MB",
    LISTS: "listings",
    ITEM: "bytes of an item",
}
HOW = f"{MEDIANS} MB are 2^20 bytes. An item is what the Map hands to a rank; the largest one is shown."


def result_tables(results: ScaleResults) -> RenderableType:
    """Return a table for each part."""
    return Group(*(_init_table(series) for name, series in results.parts.items() if name == "init"))


def _init_table(series: list[Series]) -> Table:
    table = Table(title="Init", title_justify="left", caption=HOW, caption_justify="left")
    for heading in ("objects", "ranks", *INIT.values()):
        table.add_column(heading, justify="right")
    for one in series:
        figures = one.figures()
        cells = [format_spread(figures[name]) if name in figures else NOTHING for name in INIT]
        table.add_row(f"{one.labels['objects']:,}", f"{one.labels['ranks']:,}", *cells)
    return table
