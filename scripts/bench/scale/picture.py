"""The figures as a picture, from the JSON that the benchmark writes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.bench.picture import error_bars, new_figure, save_figure
from scripts.bench.scale.init_part import PEAK, SECONDS

SHOWN = {SECONDS: "seconds", PEAK: "peak memory, MB"}


def draw(report: Mapping[str, Any], file: Path) -> bool:
    """Draw Init's time and memory by objects, and say whether there was anything. Raises ImportError."""
    entries = [entry for entry in report.get("init", ()) if entry["figures"]]
    if not entries:
        return False
    figure = new_figure(9, 4)
    objects = [entry["objects"] for entry in entries]
    for axes, (name, words) in zip(figure.subplots(1, 2), SHOWN.items(), strict=True):
        middle, spans = error_bars(entries, name)
        axes.errorbar(objects, middle, yerr=spans, fmt="o-", capsize=4)
        axes.set(title="Init", xlabel="objects", ylabel=words, xscale="log", ylim=(0, None))
    save_figure(figure, report, file)
    return True
