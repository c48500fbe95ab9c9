"""The figures as a picture, from the JSON that the benchmark writes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.bench.picture import Entry, error_bars, new_figure, save_figure
from scripts.bench.rendezvous.tables import CROWDS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANEL_INCHES = (5.5, 4.5)


def draw(report: Mapping[str, Any], file: Path) -> bool:
    """Draw a panel for each question, and say whether there was any. Raises ImportError without matplotlib."""
    panels = [(panel, report[part]) for part, drawn in PANELS.items() if report.get(part) for panel in drawn]
    if not panels:
        return False
    width, height = PANEL_INCHES
    figure = new_figure(width * len(panels), height)
    for axes, (panel, entries) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        panel(axes, entries)
    save_figure(figure, report, file)
    return True


def pairing_rates(axes: "Axes", entries: Sequence[Entry]) -> None:
    """Draw pairings per second over pairings in flight, a line for each server."""
    axes.set(title="pairings", xlabel="in flight", ylabel="pairings/s", xscale="log")
    alone = [entry for entry in entries if not any(entry[kind] for kind in CROWDS)]
    for server in dict.fromkeys(entry["server"] for entry in alone):
        _line(axes, [entry for entry in alone if entry["server"] == server], "in_flight", "pairings_per_s", server)
    axes.set_ylim(bottom=0)
    _mark(axes, alone, "in_flight")


def pairing_latencies(axes: "Axes", entries: Sequence[Entry]) -> None:
    """Draw the 99th percentile of latencies, a line for each server and crowd."""
    axes.set(title="latency, 99th percentile", xlabel="in flight", ylabel="ms", xscale="log", yscale="log")
    for server, *counts in dict.fromkeys(_kind(entry) for entry in entries):
        crowd = " and ".join(f"{count} {kind}" for count, kind in zip(counts, CROWDS, strict=True) if count)
        chosen = [entry for entry in entries if _kind(entry) == (server, *counts)]
        _line(axes, chosen, "in_flight", "p99_ms", f"{server}, {crowd or 'alone'}")
    _mark(axes, entries, "in_flight")


def group_times(axes: "Axes", entries: Sequence[Entry]) -> None:
    """Draw the time of a bootstrap over ranks, a line for each topology and server."""
    axes.set(title="group: time to the last table", xlabel="ranks", ylabel="ms", xscale="log", yscale="log")
    for kind in dict.fromkeys((entry["topology"], entry["server"]) for entry in entries):
        chosen = [entry for entry in entries if (entry["topology"], entry["server"]) == kind]
        _line(axes, chosen, "world_size", "ms", ", ".join(kind))
    _mark(axes, entries, "world_size")


def relay_rates(axes: "Axes", entries: Sequence[Entry]) -> None:
    """Draw the relay beside a raw pair of sockets."""
    for place, name in (("raw pair", "raw_mb_per_s"), ("relayed", "relay_mb_per_s")):
        middle, outer = error_bars(entries[:1], name)
        axes.bar([place], middle, width=0.5, yerr=outer, capsize=3, color="C0")
    axes.set(title="relay beside a raw loopback pair", ylabel="MB/s")


def _kind(entry: Entry) -> tuple[Any, ...]:
    return entry["server"], *(entry[kind] for kind in CROWDS)


def _line(axes: "Axes", entries: Sequence[Entry], x: str, y: str, label: str) -> None:
    middle, outer = error_bars(entries, y)
    axes.errorbar([entry[x] for entry in entries], middle, outer, marker="o", capsize=3, label=label)


def _mark(axes: "Axes", entries: Sequence[Entry], x: str) -> None:
    """Ticks where something was measured and nowhere else, and the lines' names."""
    places = sorted({entry[x] for entry in entries})
    axes.set_xticks(places, [f"{place:,}" for place in places])
    axes.set_xticks([], minor=True)
    axes.legend(fontsize="small")


PANELS = {
    "pairing": (pairing_rates, pairing_latencies),
    "group": (group_times,),
    "relay": (relay_rates,),
}
