"""The figures as tables for people."""

from collections.abc import Sequence
from itertools import groupby

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from scripts.bench.comm.contenders import BARE, GLOO, INTO, OURS, PLAIN, RAW
from scripts.bench.comm.measure import OTHER_WORK, SHARE, TIME, TIMES, Results, fastest
from scripts.bench.comm.plan import in_bytes
from scripts.bench.rounds import Series, spread
from scripts.bench.words import in_words

HOW = (
    "Milliseconds from the first rank's call until the last has its result (gather: until the root has all parts). "
    "Raw: blocking sockets in a star, rank 0 serving the others in turn, with threads or by poll, as was fastest. "
    "Ours: every frame with its tag, each result in new memory, a gather with receipts. With out=: into the same "
    "buffers every time, as raw sockets and Gloo. Bare: so, and like these without tags and receipts. "
    "Of raw, times Gloo: ours, bare, by rounds."
)
NOTHING = "-"


def result_tables(results: Results) -> RenderableType:
    table = Table(title="communicator", title_justify="left", caption=HOW, caption_justify="left")
    for name in ("ranks", "operation", "per rank"):
        table.add_column(name, justify="left" if name == "operation" else "right")
    for name in ("raw", "Gloo", *(contender.name for contender in (PLAIN, INTO, BARE)), "of raw", "times Gloo"):
        table.add_column(name, justify="right")
    for _, group in groupby(results.series, key=_case):
        _add_row(table, list(group))
    notes = "Medians of the rounds, with the lowest and the highest." + _disturbance(results)
    return Group(table, Text(notes))


def _add_row(table: Table, series: Sequence[Series]) -> None:
    world_size, operation, size = _case(series[0])
    cells = [str(world_size), operation, in_bytes(size) if size else NOTHING]
    for kind in (RAW, GLOO):
        rivals = [one for one in series if one.labels["kind"] == kind]
        cells.append(_cell(fastest(rivals), TIME) if rivals else NOTHING)
    ours = {one.labels["contender"]: one for one in series if one.labels["kind"] == OURS}
    cells += [_cell(ours.get(contender.name), TIME) for contender in (PLAIN, INTO, BARE)]
    cells += [_cell(ours.get(BARE.name), name) for name in (SHARE, TIMES)]
    table.add_row(*cells)


def _case(one: Series) -> tuple[int, str, int]:
    return one.labels["world_size"], one.labels["operation"], one.labels["size"]


def _cell(one: Series | None, name: str) -> str:
    figures = one.figures() if one is not None else {}
    return in_words(figures[name]) if name in figures else NOTHING


def _disturbance(results: Results) -> str:
    cores = [figures[OTHER_WORK] for one in results.series for figures in one.rounds if OTHER_WORK in figures]
    if not cores:
        return ""
    figure = spread(cores)
    return f" Other work took {figure.median:.2f} cores meanwhile, {figure.high:.2f} in the busiest round."
