"""The figures as a picture, from the JSON that the benchmark writes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from scripts.bench.picture import Entry, error_bars, new_figure, save_figure
from scripts.bench.scale.init_part import PEAK, SECONDS
from scripts.bench.scale.tables import PROCESSES

BY = {"init": "objects", "rank": "galaxies", "summarize": "ranks", "run": "ranks"}
SHOWN = {SECONDS: "seconds", PEAK: "peak memory, MB"}
ROW_INCHES = (13, 4.5)


class RunPanel(NamedTuple):
    """One figure of a run's processes.

    Attributes:
        figure: Its name behind that of the process.
        title: Of the panel.
        unit: Of its axis.
        processes: Those that have it.
        most: What none of them may exceed; None where nothing is said of it.
    """

    figure: str
    title: str
    unit: str
    processes: Sequence[str]
    most: float | None = None


RUN_PANELS = (
    RunPanel("lap_s", "Wall time by phase", "seconds", ("init", "leaf", "crowd", "inner", "root", "summarize", "run")),
    RunPanel(PEAK, "Peak memory", "MB", ("init", "leaf", "inner", "root", "summarize"), 400),
    RunPanel("beyond_percent", "Billed beyond inference, per rank", "%", ("leaf", "inner", "root", "run"), 3),
)


def draw(report: Mapping[str, Any], file: Path) -> bool:
    """Draw each part by its sizes, and say whether there was anything. Raises ImportError without matplotlib."""
    drawn = {part: [entry for entry in report.get(part, ()) if entry["figures"]] for part in BY}
    drawn = {part: entries for part, entries in drawn.items() if entries}
    if not drawn:
        return False
    width, height = ROW_INCHES
    figure = new_figure(width, height * len(drawn))
    rows = figure.subfigures(len(drawn), 1, squeeze=False)[:, 0]
    for row, (part, entries) in zip(rows, drawn.items(), strict=True):
        if part == "run":
            for axes, panel in zip(row.subplots(1, len(RUN_PANELS)), RUN_PANELS, strict=True):
                _draw_processes(axes, entries, panel)
            continue
        sizes = [entry[BY[part]] for entry in entries]
        for axes, (name, words) in zip(row.subplots(1, len(SHOWN)), SHOWN.items(), strict=True):
            middle, spans = error_bars(entries, name)
            axes.errorbar(sizes, middle, yerr=spans, fmt="o-", capsize=4)
            axes.set(title=part.capitalize(), xlabel=BY[part], ylabel=words, xscale="log", ylim=(0, None))
    save_figure(figure, report, file)
    return True


def _draw_processes(axes: Any, entries: Sequence[Entry], panel: RunPanel) -> None:
    """A line for each process, over the runs that have it. Each keeps its colour in all panels."""
    for number, (process, words) in enumerate(PROCESSES.items()):
        name = f"{process}_{panel.figure}"
        there = [entry for entry in entries if name in entry["figures"]]
        if process in panel.processes and there:
            middle, spans = error_bars(there, name)
            ranks, style = [entry["ranks"] for entry in there], "s--" if process == "run" else "o-"
            axes.errorbar(ranks, middle, yerr=spans, fmt=style, capsize=4, color=f"C{number}", label=words)
    if panel.most is not None:
        axes.axhline(panel.most, linestyle=":", color="grey", label=f"at most {panel.most:g} {panel.unit}")
    axes.set(title=panel.title, xlabel="ranks", ylabel=panel.unit, xscale="log")
    axes.set(**({"yscale": "log"} if panel.most is None else {"ylim": (0, None)}))
    ranks = sorted({entry["ranks"] for entry in entries})
    axes.set_xticks(ranks, [f"{one:,}" for one in ranks])
    axes.minorticks_off()
    below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.14), "ncols": 3}  # where no line is
    axes.legend(fontsize="x-small", **below)
