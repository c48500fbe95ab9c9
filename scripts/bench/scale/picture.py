"""The figures as a picture, from the JSON that the benchmark writes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.bench.picture import error_bars, new_figure, save_figure
from scripts.bench.scale.init_part import PEAK, SECONDS

BY = {"init": "objects", "rank": "galaxies", "summarize": "ranks"}
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
            middle, spans = error_bars(entries, name)
            axes.errorbar(sizes, middle, yerr=spans, fmt="o-", capsize=4)
            axes.set(title=part.capitalize(), xlabel=BY[part], ylabel=words, xscale="log", ylim=(0, None))
    save_figure(figure, report, file)
    return True
