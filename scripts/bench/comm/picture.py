"""The figures as a picture, from the JSON that the benchmark writes. Needs matplotlib, which is optional."""

from collections.abc import Mapping
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.bench.comm.contenders import GLOO, OURS, RAW
from scripts.bench.comm.plan import Case
from scripts.bench.rounds import bars

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANEL_INCHES = (4.2, 3.6)
COLUMNS = 4
LINES = {OURS: "-", RAW: ":", GLOO: "--"}

Entry = Mapping[str, Any]  # one series in the JSON


def draw(report: Mapping[str, Any], file: Path) -> bool:
    """Whether there was anything to draw. ImportError without matplotlib."""
    from matplotlib.figure import Figure  # here: it takes half a second, and most runs draw nothing

    panels: dict[Case, list[Entry]] = {}
    for entry in report["comm"]:
        panels.setdefault(Case(entry["operation"], entry["size"]), []).append(entry)
    if not panels:
        return False
    columns = min(COLUMNS, len(panels) + 1)
    rows = ceil((len(panels) + 1) / columns)
    width, height = PANEL_INCHES
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    places = figure.subplots(rows, columns, squeeze=False).flat
    names = list(dict.fromkeys(entry["contender"] for entry in report["comm"]))
    for (case, entries), axes in zip(panels.items(), places, strict=False):
        _panel(axes, case, entries, names)
    handles, labels = next(iter(figure.axes)).get_legend_handles_labels()
    spare = figure.axes[len(panels)]
    spare.legend(handles, labels, loc="center", frameon=False)
    for axes in figure.axes[len(panels) :]:
        axes.axis("off")
    machine = report["machine"]
    figure.suptitle(f"{machine['cpu']}, {machine['cores']} cores. Medians, with the lowest and the highest round")
    figure.savefig(file)
    return True


def _panel(axes: "Axes", case: Case, entries: list[Entry], names: list[str]) -> None:
    """Milliseconds over ranks, a line for each contender, those of one kind in one style."""
    axes.set(title=str(case), xlabel="ranks", ylabel="ms", xscale="log", yscale="log")
    for number, name in enumerate(names):
        chosen = sorted((e for e in entries if e["contender"] == name), key=lambda entry: entry["world_size"])
        if chosen:
            middle, outer = bars([entry["figures"]["ms"] for entry in chosen])
            places = [entry["world_size"] for entry in chosen]
            style = "o" + LINES[chosen[0]["kind"]]
            axes.errorbar(places, middle, outer, fmt=style, color=f"C{number}", markersize=4, capsize=3, label=name)
    worlds = sorted({entry["world_size"] for entry in entries})
    axes.set_xticks(worlds, [str(world) for world in worlds])
    axes.set_xticks([], minor=True)
