"""The figures as a picture, from the JSON that the benchmark writes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts.bench.picture import error_bars, new_figure, save_figure
from scripts.bench.scale.init_part import PEAK, SECONDS
from scripts.bench.scale.tables import PROCESSES

BY = {"init": "objects", "rank": "galaxies", "summarize": "ranks", "run": "ranks"}
RUN_SHOWN = {"lap_s": ("crowd", "root", "summarize"), PEAK: ("init", "leaf", "inner", "root", "summarize")}
SHOWN = {SECONDS: "seconds", PEAK: "peak memory, MB"}


def draw(report: Mapping[str, Any], file: Path) -> bool:
    """Draw each part's time and memory by its sizes, and say whether there was anything. Raises ImportError."""
    drawn = {part: [entry for entry in report.get(part, ()) if entry["figures"]] for part in BY}
    drawn = {part: entries for part, entries in drawn.items() if entries}
    if not drawn:
        return False
    figure = new_figure(9, 4 * len(drawn))
    for row, (part, entries) in zip(figure.subplots(len(drawn), 2, squeeze=False), drawn.items(), strict=True):
        sizes = [entry[BY[part]] for entry in entries]
        for axes, (name, words) in zip(row, SHOWN.items(), strict=True):
            if part == "run":
                _draw_processes(axes, entries, "lap_s" if name == SECONDS else name)
            else:
                middle, spans = error_bars(entries, name)
                axes.errorbar(sizes, middle, yerr=spans, fmt="o-", capsize=4)
            axes.set(title=part.capitalize(), xlabel=BY[part], ylabel=words, xscale="log", ylim=(0, None))
    save_figure(figure, report, file)
    return True


def _draw_processes(axes: Any, entries: Sequence[Mapping[str, Any]], name: str) -> None:
    """A line for each process of a run, over the runs that have it."""
    for process in RUN_SHOWN[name]:
        figure = f"{process}_{name}"
        there = [entry for entry in entries if figure in entry["figures"]]
        if there:
            middle, spans = error_bars(there, figure)
            sizes = [entry["ranks"] for entry in there]
            axes.errorbar(sizes, middle, yerr=spans, fmt="o-", capsize=4, label=PROCESSES[process])
    axes.legend()
