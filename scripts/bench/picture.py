"""What the pictures of all benchmarks have in common. They need matplotlib, which is optional."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Entry = Mapping[str, Any]  # one series in the JSON
Bars = tuple[list[float], tuple[list[float], list[float]]]  # medians; how far the lowest and the highest are from them


def new_figure(width: float, height: float) -> "Figure":
    """Return an empty figure of that size in inches. Raises ImportError without matplotlib."""
    from matplotlib.figure import Figure  # here: it takes half a second, and most runs draw nothing

    return Figure(figsize=(width, height), layout="constrained")


def save_figure(figure: "Figure", report: Mapping[str, Any], file: Path) -> None:
    """Write a figure to `file` under a title that names the machine of the report."""
    machine = report["machine"]
    name = machine.get("gpu") or f"{machine['cpu']}, {machine['cores']} cores"
    figure.suptitle(f"{name}. Medians, with the lowest and the highest round")
    figure.savefig(file)


def error_bars(entries: Sequence[Entry], name: str) -> Bars:
    """Return the medians of the figure `name`, and how far the lowest and the highest rounds are from them."""
    figures = [entry["figures"][name] for entry in entries]
    below = [figure["median"] - figure["low"] for figure in figures]
    above = [figure["high"] - figure["median"] for figure in figures]
    return [figure["median"] for figure in figures], (below, above)
