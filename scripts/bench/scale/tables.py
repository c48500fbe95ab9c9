"""The figures as tables for people."""

from collections.abc import Mapping

from rich.console import Group, RenderableType
from rich.table import Table

from scripts.bench.formatting import MEDIANS, NOTHING, format_spread
from scripts.bench.scale.init_part import CPU, ITEM, LISTS, PEAK, SECONDS
from scripts.bench.scale.measure import ScaleResults
from scripts.bench.scale.rank_part import TABLE
from scripts.bench.scale.run_part import RATE
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
    f"{MEDIANS} MB are 2^20 bytes. No table has travelled to rank 0. Up to 20 million galaxies Summarize puts all "
    "tables together."
)

PROCESSES = {
    "init": "Init",
    "leaf": "a leaf",
    "inner": "an inner rank",
    "root": "rank 0",
    "crowd": "the others",
    "summarize": "Summarize",
    "run": "the run",
}
RUN = {
    "lap_s": "s",
    "cpu_s": "CPU s",
    PEAK: "peak MB",
    "requests": "requests",
    "mb": "S3 MB",
    "descriptors": "descriptors",
    "wait_s": "s waiting",
    "beyond_s": "s beyond",
    "beyond_percent": "% beyond",
}
HOW_RUN = (
    f"{MEDIANS} Init, a leaf, an inner rank, rank 0 and Summarize are real handlers in processes of their own. All "
    "other ranks have real communicators, many to a process, and one inner rank with its leaves follows another. Their "
    "requests to S3 are not counted. Beyond is what a rank is billed for beside inference and cold start, in percent "
    f"of that and its inference at {RATE} galaxies/s. A rank that gathers is held in its inference until all parts "
    "have come. The processor time that these take counts as though they came thereafter. For the run each inner rank "
    "counts as that one, and each leaf does, too."
)


def result_tables(results: ScaleResults) -> RenderableType:
    """Return a table for each part."""
    shown = {"init": (INIT, HOW), "rank": (RANK, HOW_RANK), "summarize": (SUMMARIZE, HOW_SUMMARIZE)}
    tables = [_table(name, series, *shown[name]) for name, series in results.parts.items() if name in shown]
    return Group(*tables, *([_run_table(results.parts["run"])] if "run" in results.parts else []))


def _run_table(series: list[Series]) -> Table:
    """A row for each process of each run."""
    table = Table(title="Run", title_justify="left", caption=HOW_RUN, caption_justify="left")
    table.add_column("ranks", justify="right")
    table.add_column("process")
    for heading in RUN.values():
        table.add_column(heading, justify="right")
    for one in series:
        figures = one.figures()
        for process, words in PROCESSES.items():
            cells = [figures.get(f"{process}_{name}") for name in RUN]
            if any(cells):
                found = (NOTHING if cell is None else format_spread(cell) for cell in cells)
                table.add_row(f"{one.labels['ranks']:,}", words, *found)
        table.add_section()
    return table


def _table(name: str, series: list[Series], columns: Mapping[str, str], how: str) -> Table:
    table = Table(title=name.capitalize(), title_justify="left", caption=how, caption_justify="left")
    for heading in (*series[0].labels, *columns.values()):
        table.add_column(heading, justify="right")
    for one in series:
        figures = one.figures()
        cells = [format_spread(figures[name]) if name in figures else NOTHING for name in columns]
        table.add_row(*(f"{label:,}" for label in one.labels.values()), *cells)
    return table
