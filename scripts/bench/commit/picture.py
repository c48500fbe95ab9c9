"""The ratios as a picture, from the JSON that the benchmark writes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.bench.commit.tables import WORDS
from scripts.bench.picture import new_figure, save_figure


def draw(report: Mapping[str, Any], file: Path) -> bool:
    """Draw each ratio with its interval, and say whether there was any. Raises ImportError without matplotlib."""
    ratios = report["ratios"]
    if not ratios:
        return False
    figure = new_figure(8, 4)
    axes = figure.subplots()
    middle = [ratio["middle"] for ratio in ratios.values()]
    below = [ratio["middle"] - ratio["low"] for ratio in ratios.values()]
    above = [ratio["high"] - ratio["middle"] for ratio in ratios.values()]
    axes.errorbar(middle, [WORDS[name] for name in ratios], xerr=(below, above), fmt="o", capsize=4)
    axes.axvline(1.0, color="black", linewidth=0.8)
    axes.invert_yaxis()
    axes.set(title="this checkout over the base", xlabel="ratio of medians, with its interval")
    save_figure(figure, report, file)
    return True
