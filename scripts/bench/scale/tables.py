"""The figures as tables for people."""

from collections.abc import Mapping

from rich.console import Group, RenderableType
from rich.table import Table

from scripts.bench.formatting import MEDIANS, NOTHING, format_spread
from scripts.bench.scale.init_part import CPU, ITEM, LISTS, PEAK, SECONDS
from scripts.bench.scale.measure import ScaleResults
from scripts.bench.scale.rank_part import TABLE
from scripts.bench.scale.summarize_part import GETS, READ, WRITTEN
from scripts.series import Series

INIT = {
    SECONDS: "s",
    CPU: "processor s",
    PEAK: "peak MB",
    LISTS: "listings",
    ITEM: "bytes of an item",
}
RANK = {
    SECONDS: "s",
    CPU: "processor s",
    PEAK: "peak MB",
    TABLE: "MB of the table",
    READ: "MB read back",
    WRITTEN: "MB written",
}
SUMMARIZE = {
    SECONDS: "s",
    CPU: "processor s",
    PEAK: "peak MB",
    GETS: "objects read",
    READ: "MB read",
    WRITTEN: "MB written",
}
HOW = f"{MEDIANS} MB are 2^20 bytes. An item is what the Map hands to a rank; the largest one is shown."
HOW_RANK = (
    f"{MEDIANS} MB are 2^20 bytes. The engine answers at once and has error bars. Without PyTorch and the weights the "
    "process takes 40 MB before it begins. What is written are predictions, quantiles and finished stretches, of which "
    "those beyond 32 MB of tables are read back."
)
HOW_SUMMARIZE = (
    f"{MEDIANS} MB are 2^20 bytes. The ranks have gathered their records. Up to 20 million galaxies Summarize puts all "
    "tables together."
)


def result_tables(results: ScaleResults) -> RenderableType:
    """Return a table for each part."""
    shown = {"init": (INIT, HOW), "rank": (RANK, HOW_RANK), "summarize": (SUMMARIZE, HOW_SUMMARIZE)}
    return Group(*(_table(name, series, *shown[name]) for name, series in results.parts.items()))


def _table(name: str, series: list[Series], columns: Mapping[str, str], how: str) -> Table:
    table = Table(title=name.capitalize(), title_justify="left", caption=how, caption_justify="left")
    for heading in (*series[0].labels, *columns.values()):
        table.add_column(heading, justify="right")
    for one in series:
        figures = one.figures()
        cells = [format_spread(figures[name]) if name in figures else NOTHING for name in columns]
        table.add_row(*(f"{label:,}" for label in one.labels.values()), *cells)
    return table
