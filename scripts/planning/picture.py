"""The picture of a plan: cost against time, with the choices that nothing beats in both."""

from collections.abc import Sequence
from pathlib import Path

from lambda_image.atomic_file import atomic_file
from scripts.planning.calibration import Calibration
from scripts.planning.choices import partition_mb
from scripts.planning.prediction import Forecast

INK, MUTED, LINE = "#1a1a1a", "#8a8a8a", "#b3402a"
NAMED = 6  # points of the front that are labelled; more would overlap


def draw(measured: Calibration, every: Sequence[Forecast], front: Sequence[Forecast], file: Path) -> None:
    """Draws it.

    Args:
        measured: the constants, by which partitions get their sizes.
        every: all choices. Those that are not possible are left out.
        front: those that nothing beats.
        file: an .svg or .png.
    """
    from matplotlib.figure import Figure as Canvas  # late: it takes a second, and most plans have no picture
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    canvas = Canvas(figsize=(7, 4.5), layout="constrained")
    axes = canvas.add_subplot()
    possible = [one for one in every if one.possible]
    axes.scatter([one.total_s for one in possible], [one.usd for one in possible], s=16, c=MUTED, label="all choices")
    axes.plot([one.total_s for one in front], [one.usd for one in front], "o-", color=LINE, label="beaten by none")
    step = max(1, -(-len(front) // NAMED))
    for number, one in enumerate(front):
        if one is front[-1] or (number % step == 0 and number + step < len(front)):
            label = f"{partition_mb(measured, one.case):.0f} MB, {one.case.memory_mb:,.0f} MB"
            last = one is front[-1] and len(front) > 1  # whose label would leave the picture on the right
            axes.annotate(
                label,
                (one.total_s, one.usd),
                (-5, 13) if last else (5, 7),
                textcoords="offset points",
                ha="right" if last else "left",
                fontsize=8,
                color=INK,
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},  # over the points of others
            )
    for scale, axis in ((axes.set_xscale, axes.xaxis), (axes.set_yscale, axes.yaxis)):
        scale("log")
        axis.set_major_locator(LogLocator(subs=(1, 2, 3, 5, 7)))
        axis.set_major_formatter(FuncFormatter(lambda value, _place: f"{value:,g}"))
        axis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("time of the run, s")
    axes.set_ylabel("cost of the run, USD")
    axes.set_title("Labels: partition size, memory of a rank", fontsize=9, loc="left")
    axes.legend(frameon=False)
    with atomic_file(file) as partial:
        canvas.savefig(partial, format=file.suffix.lstrip("."), dpi=150)
