"""The standard output, and tables on it of which no number is ever cut."""

import sys
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.measure import Measurement
from rich.table import Table

ANY_WIDTH = 10_000  # columns, which no table has
CLOSE = (0, 1, 0, 0)  # between columns of a table, in which many have room


def output_console(width: int) -> Console:
    """Return a console on the standard output, on which lines stay whole and tables have a width.

    Args:
        width: That of tables, in columns, where the output is no terminal, which knows its own.
    """
    return Console(width=None if sys.stdout.isatty() else width, highlight=False, soft_wrap=True)


def plain_table(title: str, left: Sequence[str], right: Sequence[str], *, narrow: bool = False) -> Table:
    """Make an empty table whose first columns hold words and whose others hold numbers.

    Args:
        title: What stands above it, if anything.
        left: The headings of words.
        right: The headings of numbers.
        narrow: Whether it has many columns, which then stand close together.
    """
    table = Table(title=title or None, title_justify="left", box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    if narrow:
        table.padding = CLOSE
    for name in left:
        table.add_column(name, no_wrap=True)
    for name in right:
        table.add_column(name, justify="right")
    return table


def print_tables(console: Console, tables: RenderableType) -> None:
    """Print tables, wider than the console where a number would be cut or broken. A terminal breaks such lines itself.

    Before that, headings and text are broken between words, and columns are put closer together.

    Args:
        console: Where they go.
        tables: A table, or a group of tables and text.
    """
    if isinstance(tables, Group):
        for part in tables.renderables:
            print_tables(console, part)
        return
    width = console.width
    if isinstance(tables, Table):
        console.width = max(width, _fit(console, tables))
    console.print(tables, markup=False, crop=False, soft_wrap=False)
    console.width = width


def _fit(console: Console, table: Table) -> int:
    """Make a table as narrow as the console, as far as no number is cut. Return its least width."""
    least = _least_width(console, table)
    if least > console.width:
        table.padding = CLOSE
        least = _least_width(console, table)
    if least > console.width:
        for column in table.columns:
            column.no_wrap = False
        least = _least_width(console, table)
    return least


def _least_width(console: Console, table: Table) -> int:
    """Tell Rich the least width of each column, without which it cuts what does not fit. Return the table's."""
    options = console.options.update(width=ANY_WIDTH, markup=False)
    for column in table.columns:
        cells = [Measurement.get(console, options, cell) for cell in column.cells]
        whole = column.justify == "right" or column.no_wrap  # a number stays with its unit
        least = max((max(cell) if whole else cell.minimum for cell in cells), default=0)
        if table.show_header:
            least = max(least, Measurement.get(console, options, column.header).minimum)
        column.min_width = least
    return Measurement.get(console, options, table).minimum
