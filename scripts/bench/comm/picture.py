"""The figures as a picture, from the JSON that the benchmark writes."""

from collections.abc import Mapping
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.bench.comm.contenders import GLOO, OURS, RAW
from scripts.bench.comm.plan import OperationCase
from scripts.bench.picture import Entry, error_bars, new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANEL_INCHES = (4.2, 3.6)
COLUMNS = 4
LINES = {OURS: "-", RAW: ":", GLOO: "--"}


def draw(report: Mapping[str, Any], file: Path) -> bool:
    """Draw a panel for each case, and say whether there was any. Raises ImportError without matplotlib."""
    panels: dict[OperationCase, list[Entry]] = {}
    for entry in report["comm"]:
        panels.setdefault(OperationCase(entry["operation"], entry["size"]), []).append(entry)
    if not panels:
        return False
    columns = min(COLUMNS, len(panels) + 1)
    rows = ceil((len(panels) + 1) / columns)
    width, height = PANEL_INCHES
    figure = new_figure(width * columns, height * rows)
    places = figure.subplots(rows, columns, squeeze=False).flat
    names = list(dict.fromkeys(entry["contender"] for entry in report["comm"]))
    for (case, entries), axes in zip(panels.items(), places, strict=False):
        _panel(axes, case, entries, names)
    handles, labels = next(iter(figure.axes)).get_legend_handles_labels()
    spare = figure.axes[len(panels)]
    spare.legend(handles, labels, loc="center", frameon=False)
    for axes in figure.axes[len(panels) :]:
        axes.axis("off")
    save_figure(figure, report, file)
    return True


def _panel(axes: "Axes", case: OperationCase, entries: list[Entry], names: list[str]) -> None:
    """Milliseconds over ranks, a line for each contender, those of one kind in one style."""
    axes.set(title=str(case), xlabel="ranks", ylabel="ms", xscale="log", yscale="log")
    for number, name in enumerate(names):
        chosen = sorted((e for e in entries if e["contender"] == name), key=lambda entry: entry["world_size"])
        if chosen:
            middle, outer = error_bars(chosen, "ms")
            places = [entry["world_size"] for entry in chosen]
            style = "o" + LINES[chosen[0]["kind"]]
            axes.errorbar(places, middle, outer, fmt=style, color=f"C{number}", markersize=4, capsize=3, label=name)
    worlds = sorted({entry["world_size"] for entry in entries})
    axes.set_xticks(worlds, [str(world) for world in worlds])
    axes.set_xticks([], minor=True)
