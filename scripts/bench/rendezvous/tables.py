"""The figures as tables for people."""

from collections.abc import Mapping, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from scripts.bench.formatting import MEDIANS, NOTHING, format_other_work, format_spread
from scripts.bench.rendezvous.group import TABLES_READ
from scripts.bench.rendezvous.measure import RendezvousResults
from scripts.bench.rendezvous.pairing import PAUSE_S
from scripts.bench.rendezvous.relay import WRITE_BYTES
from scripts.series import Series

PAIRING_COLUMNS = {
    "pairings_per_s": "pairings/s",
    "p99_ms": "p99 ms",
    "p99_to_alone": "p99 to alone",
    "cpu_us_per_pairing": "CPU µs each",
}
CROWDS = ("silent", "slow", "bytewise")
GROUP_COLUMNS = {
    "ms": "last table ms",
    "messages": "messages",
    "bytes": "bytes",
    "server_cpu_s": "CPU s",
    "server_kb_each": "KB each",
    "server_peak_mb": "peak MB",
}
RELAY_COLUMNS = {
    "raw_mb_per_s": "raw MB/s",
    "relay_mb_per_s": "relayed MB/s",
    "share_of_raw": "relayed / raw",
    "server_cpu_s_per_gb": "CPU s per GB",
    "server_peak_mb": "peak MB",
}
PAIRING_HOW = (
    "A pairing lasts from the first connect until both ends have both addresses, which are checked. Slow clients pause "
    f"{1e3 * PAUSE_S:g} ms before they say their name, bytewise ones before each byte. Alone is the same number in "
    "flight, measured just before. Bare uvloop makes the same exchange, and neither checks nor remembers anything."
)
GROUP_HOW = (
    "From the first connect to the last rank's full table. The real client reads about "
    f"{TABLES_READ} of the tables in full; of the other ranks rows and frames are counted. In a tree each inner rank "
    "is in two groups. KB are what the server's memory grew by for each join."
)
RELAY_HOW = (
    f"Writes of {WRITE_BYTES >> 20} MiB through the server and through a raw loopback pair of sockets. Each end has a "
    "thread of its own: a relay is at work on three cores, where there are so many."
)


def result_tables(results: RendezvousResults) -> RenderableType:
    """Return a table for each part that was measured."""
    parts: list[RenderableType] = []
    if results.pairing:
        parts.append(_pairing_table([*results.pairing, *results.pairing_ratios]))
    if results.group:
        parts.append(_group_table([*results.group, *results.group_ratios]))
    if results.relay:
        parts.append(_relay_table(results.relay))
    parts.append(Text(MEDIANS + format_other_work([*results.pairing, *results.group, *results.relay])))
    return Group(*parts)


def _pairing_table(series: Sequence[Series]) -> Table:
    table = _table("pairings", PAIRING_HOW, ("in flight", *CROWDS, "server"), PAIRING_COLUMNS)
    for one in sorted(series, key=lambda one: tuple(one.labels[name] for name in (*CROWDS, "in_flight"))):
        crowd = (str(one.labels[kind] or NOTHING) for kind in CROWDS)
        table.add_row(str(one.labels["in_flight"]), *crowd, one.labels["server"], *_cells(one, PAIRING_COLUMNS))
    return table


def _group_table(series: Sequence[Series]) -> Table:
    table = _table("group bootstrap", GROUP_HOW, ("ranks", "topology", "server"), GROUP_COLUMNS)
    for one in series:
        named = (one.labels[name] for name in ("topology", "server"))
        table.add_row(f"{one.labels['world_size']:,}", *named, *_cells(one, GROUP_COLUMNS))
    return table


def _relay_table(series: Sequence[Series]) -> Table:
    table = _table("relay", RELAY_HOW, (), RELAY_COLUMNS)
    for one in series:
        table.add_row(*_cells(one, RELAY_COLUMNS))
    return table


def _table(title: str, how: str, labels: Sequence[str], figures: Mapping[str, str]) -> Table:
    table = Table(title=title, title_justify="left", caption=how, caption_justify="left")
    for name in labels:
        table.add_column(name, justify="left" if name in ("server", "topology") else "right")
    for name in figures.values():
        table.add_column(name, justify="right")
    return table


def _cells(series: Series, columns: Mapping[str, str]) -> list[str]:
    figures = series.figures()
    return [format_spread(figures[name]) if name in figures else NOTHING for name in columns]
