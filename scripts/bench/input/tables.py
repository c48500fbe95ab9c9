"""The counts as tables for people."""

from rich.console import Group, RenderableType
from rich.table import Table

from scripts.bench.input.judge import AS_BEFORE, CHANGED, FAILED, REFUSED
from scripts.bench.input.measure import InputResults

OUTCOMES = (REFUSED, AS_BEFORE, CHANGED, FAILED)


def result_tables(results: InputResults) -> RenderableType:
    """Return a row for each kind of change, and what became of the rows of files that were read."""
    table = Table(title=f"changed files, predicted by {results.engine}", title_justify="left")
    table.add_column("change")
    for outcome in ("files", *OUTCOMES):
        table.add_column(outcome, justify="right")
    for kind, counts in sorted(results.outcomes.items()):
        table.add_row(kind, f"{counts.total():,}", *(f"{counts[outcome]:,}" for outcome in OUTCOMES))
    every = {outcome: sum(counts[outcome] for counts in results.outcomes.values()) for outcome in OUTCOMES}
    table.add_row("all", f"{sum(every.values()):,}", *(f"{every[outcome]:,}" for outcome in OUTCOMES))
    rows = Table(title="rows of the files that were read", title_justify="left", show_header=False)
    rows.add_column()
    rows.add_column(justify="right")
    for name, count in results.rows.items():
        rows.add_row(name, f"{count:,}")
    return Group(table, rows)
