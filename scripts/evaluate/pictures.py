"""The pictures of `cosmicai evaluate`. They need matplotlib, which is optional."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.evaluate.groups import ALL
from scripts.evaluate.tables import MEASURES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DRAWN = ("mae", "bias", "nmad", "outliers_005", "coverage_68", "coverage_95")  # rows of panels
WANTED = {"bias": 0.0, "coverage_68": 0.6827, "coverage_95": 0.95}  # what a good model has
PANEL = (3.0, 1.7)  # inches

Report = Mapping[str, Any]


def draw_bins(report: Report, file: Path) -> None:
    """Draws the measures of all bins with their intervals: a column of panels for each group.

    Raises:
        ImportError: matplotlib is not installed.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure  # here: it takes half a second, and most evaluations draw nothing

    groups = list(dict.fromkeys(one["group"] for one in report["bins"] if one["group"] != ALL))
    names = [name for name in DRAWN if name in report["bins"][0]["measures"]]
    size = PANEL[0] * len(groups), PANEL[1] * len(names)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(len(names), len(groups), sharex="col", sharey="row", squeeze=False)
    for row, name in enumerate(names):
        for column, group in enumerate(groups):
            axes = panels[row][column]
            _draw_panel(axes, [one for one in report["bins"] if one["group"] == group], name)
            whole = report["bins"][0]["measures"][name]["value"]
            if whole is not None:
                axes.axhline(whole, color="tab:gray", linewidth=0.8)
            if name in WANTED:
                axes.axhline(WANTED[name], color="black", linewidth=0.8, linestyle=":")
            if column == 0:
                axes.set_ylabel(MEASURES[name][0], fontsize="small")
            if row == len(names) - 1:
                axes.set_xlabel(group)
    figure.suptitle(
        f"{report['galaxies']:,} galaxies. Bars hold 95 % of draws. "
        "The grey line is of all galaxies, and the dotted one what is wanted",
        fontsize="medium",
    )
    with rc_context({"svg.fonttype": "none"}):  # text stays text, for those who search or read aloud
        figure.savefig(file, dpi=150)


def _draw_panel(axes: "Axes", bins: Sequence[Mapping[str, Any]], name: str) -> None:
    for one in bins:
        found = one["measures"][name]
        if found["value"] is None:
            continue
        middle = (one["from"] + one["to"]) / 2
        axes.plot([one["from"], one["to"]], [found["value"]] * 2, color="tab:blue")
        if found["low"] is not None:
            axes.plot([middle] * 2, [found["low"], found["high"]], color="tab:blue", linewidth=1)


def draw_images(report: Report, file: Path) -> None:
    """Draws by how much R² changes when other images take the place of the galaxies' own.

    Raises:
        ImportError: matplotlib is not installed.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    images = report["images"]
    figure = Figure(figsize=(6.5, 2.6), layout="constrained")
    axes = figure.subplots()
    axes.axvline(0, color="black", linewidth=0.8, linestyle=":")
    for place, one in enumerate(images["replaced"]):
        change = one["r2_change"]
        if change["value"] is None:
            continue
        axes.plot(change["value"], place, "o", color="tab:blue")
        if change["low"] is not None:
            axes.plot([change["low"], change["high"]], [place] * 2, color="tab:blue")
        words = f"{one['images']}: {change['value']:+.4f}"
        axes.annotate(words, (change["value"], place), (0, 6), textcoords="offset points", ha="center")
    axes.set(xlabel="R² with own images less R² with these", yticks=[], ylim=(len(images["replaced"]) - 0.5, -0.8))
    axes.margins(x=0.25)
    whole = images["r2"]["value"]
    own = "" if whole is None else f", R² {whole:.4f} with their own images"
    axes.set_title(f"{images['galaxies']:,} galaxies{own}. Bars hold 95 % of draws", loc="left", fontsize="small")
    with rc_context({"svg.fonttype": "none"}):
        figure.savefig(file, dpi=150)


def draw_distributions(report: Report, file: Path) -> None:
    """Draws the histogram of PIT, which is flat where error bars are right.

    Raises:
        ImportError: matplotlib is not installed.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    counts, galaxies = report["pit"], report["galaxies"]
    figure = Figure(figsize=(6.5, 3), layout="constrained")
    axes = figure.subplots()
    edges = [place / len(counts) for place in range(len(counts) + 1)]
    axes.stairs(counts, edges, fill=True, color="tab:blue", alpha=0.6)
    axes.axhline(galaxies / len(counts), color="black", linewidth=0.8, linestyle=":")
    measures = report["bins"][0]["measures"]
    words = [f"{MEASURES[name][0]} {measures[name]['value']:{MEASURES[name][1]}}" for name in ("coverage_68", "pit_ks")]
    axes.set(xlabel="PIT, the share of p(z) below the true redshift", ylabel="galaxies", xlim=(0, 1))
    axes.set_title(f"{galaxies:,} galaxies, {', '.join(words)}", loc="left", fontsize="small")
    with rc_context({"svg.fonttype": "none"}):
        figure.savefig(file, dpi=150)
