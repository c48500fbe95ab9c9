"""The figures as tables for people."""

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from scripts.bench.comm.contenders import BARE, GLOO, INTO, OURS, PLAIN, RAW
from scripts.bench.comm.measure import SHARE, TIME, TIMES, CommResults, fastest
from scripts.bench.comm.plan import format_size
from scripts.bench.formatting import (
    MEDIANS,
    NOTHING,
    format_median,
    format_other_work,
    format_spread,
    format_spread_in_two_lines,
)
from scripts.series import Series, Spread

HOW = (
    "Milliseconds from the first rank's call until the last has its result (gather: until the root has all parts). "
    "Raw: blocking sockets in a star, rank 0 serving the others in turn, with threads or by poll, as was fastest. "
    "Ours: encrypted, without buffers of the caller, a gather with receipts. With out=: into the same "
    "buffers every time, as raw sockets and Gloo. Bare: so, and like these neither encrypted nor with receipts. "
    "Of raw, times Gloo: ours, bare, by rounds."
)
ANY_WIDTH = 1000  # more than any of these tables takes

Form = Callable[[Spread], str]
FORMS: Mapping[Form, str] = {  # the widest first
    format_spread: MEDIANS,
    format_spread_in_two_lines: MEDIANS,
    format_median: "Medians of the rounds. A wider terminal shows the lowest and the highest, too.",
}


def result_tables(results: CommResults, console: Console) -> RenderableType:
    """Return a row for each case, with as much of every figure as `console` has room for."""
    for form in FORMS:
        table = _table(results, form)
        if Measurement.get(console, console.options.update_width(ANY_WIDTH), table).maximum <= console.width:
            break
    return Group(table, Text(FORMS[form] + format_other_work(results.series)))


def _table(results: CommResults, form: Form) -> Table:
    table = Table(title="communicator", title_justify="left", caption=HOW, caption_justify="left")
    table.box, table.show_edge, table.pad_edge, table.padding = SIMPLE_HEAD, False, False, (0, 1, 0, 0)
    for name in ("ranks", "operation", "per\nrank"):
        table.add_column(name, justify="left" if name == "operation" else "right")
    ours = (contender.name.replace(" ", "\n") for contender in (PLAIN, INTO, BARE))
    for name in ("raw", "Gloo", *ours, "of\nraw", "times\nGloo"):
        table.add_column(name, justify="right")
    for _, group in groupby(results.series, key=_case):
        _add_row(table, list(group), form)
    return table


def _add_row(table: Table, series: Sequence[Series], form: Form) -> None:
    world_size, operation, size = _case(series[0])
    cells = [str(world_size), operation, format_size(size) if size else NOTHING]
    for kind in (RAW, GLOO):
        rivals = [one for one in series if one.labels["kind"] == kind]
        cells.append(_cell(fastest(rivals), TIME, form) if rivals else NOTHING)
    ours = {one.labels["contender"]: one for one in series if one.labels["kind"] == OURS}
    cells += [_cell(ours.get(contender.name), TIME, form) for contender in (PLAIN, INTO, BARE)]
    cells += [_cell(ours.get(BARE.name), name, form) for name in (SHARE, TIMES)]
    table.add_row(*cells)


def _case(one: Series) -> tuple[int, str, int]:
    return one.labels["world_size"], one.labels["operation"], one.labels["size"]


def _cell(one: Series | None, name: str, form: Form) -> str:
    figures = one.figures() if one is not None else {}
    return form(figures[name]) if name in figures else NOTHING
