"""The figures as a picture, from the JSON that the benchmark writes. Needs matplotlib, which is optional."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.bench.rounds import bars

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANEL_INCHES = (5.5, 4.5)

Entry = Mapping[str, Any]  # one series in the JSON


def draw(report: Mapping[str, Any], file: Path) -> bool:
    """Whether there was anything to draw. ImportError without matplotlib."""
    from matplotlib.figure import Figure  # here: it takes half a second, and most runs draw nothing

    panels = [(panel, report[part]) for part, drawn in PANELS.items() if report.get(part) for panel in drawn]
    if not panels:
        return False
    width, height = PANEL_INCHES
    figure = Figure(figsize=(width * len(panels), height), layout="constrained")
    for axes, (panel, entries) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        panel(axes, entries)
    machine = report["machine"]
    figure.suptitle(f"{machine['cpu']}, {machine['cores']} cores. Medians, with the lowest and the highest round")
    figure.savefig(file)
    return True


def pairing_rates(axes: "Axes", entries: Sequence[Entry]) -> None:
    axes.set(title="pairings", xlabel="in flight", ylabel="pairings/s", xscale="log")
    alone = [entry for entry in entries if not entry["silent"] and not entry["slow"]]
    for server in dict.fromkeys(entry["server"] for entry in alone):
        _line(axes, [entry for entry in alone if entry["server"] == server], "in_flight", "pairings_per_s", server)
    axes.set_ylim(bottom=0)
    _mark(axes, alone, "in_flight")


def pairing_latencies(axes: "Axes", entries: Sequence[Entry]) -> None:
    axes.set(title="latency, 99th percentile", xlabel="in flight", ylabel="ms", xscale="log", yscale="log")
    kinds = dict.fromkeys((entry["server"], entry["silent"], entry["slow"]) for entry in entries)
    for server, silent, slow in kinds:
        crowd = " and ".join(f"{count} {kind}" for count, kind in ((silent, "silent"), (slow, "slow")) if count)
        chosen = [e for e in entries if (e["server"], e["silent"], e["slow"]) == (server, silent, slow)]
        _line(axes, chosen, "in_flight", "p99_ms", f"{server}, {crowd or 'alone'}")
    _mark(axes, entries, "in_flight")


def group_times(axes: "Axes", entries: Sequence[Entry]) -> None:
    axes.set(title="group: time to the last table", xlabel="ranks", ylabel="ms", xscale="log", yscale="log")
    for topology in dict.fromkeys(entry["topology"] for entry in entries):
        _line(axes, [entry for entry in entries if entry["topology"] == topology], "world_size", "ms", topology)
    _mark(axes, entries, "world_size")


def relay_rates(axes: "Axes", entries: Sequence[Entry]) -> None:
    middle, outer = bars([entries[0]["figures"][name] for name in ("raw_mb_per_s", "relay_mb_per_s")])
    axes.bar(("raw pair", "relayed"), middle, width=0.5, yerr=outer, capsize=3)
    axes.set(title="relay beside a raw loopback pair", ylabel="MB/s")


def _line(axes: "Axes", entries: Sequence[Entry], x: str, y: str, label: str) -> None:
    middle, outer = bars([entry["figures"][y] for entry in entries])
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
