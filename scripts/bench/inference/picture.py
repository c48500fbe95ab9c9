"""The figures as a picture, from the JSON that the benchmark writes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.bench.picture import Entry, error_bars, new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE_INCHES = (11, 4.5)


def draw(report: Mapping[str, Any], file: Path) -> bool:
    """Draw rates and cold starts, of which there always are some. Raises ImportError without matplotlib."""
    figure = new_figure(*SIZE_INCHES)
    rates, cold = figure.subplots(1, 2)
    limit = report["gemm"]["figures"]["gflops"]["median"] * 1e9 / report["flops_per_sample"]
    best = best_of(report["inference"])
    _bars(rates, best, "samples_per_s")
    rates.axvline(limit, linestyle=":", color="grey", label="float32 GEMM limit")
    rates.set(title="inference at the best batch size", xlabel="samples/s")
    rates.legend(fontsize="small")
    _bars(cold, report["cold_start"], "cold_start_s")
    cold.set(title="cold start to the first prediction", xlabel="s")
    save_figure(figure, report, file)
    return True


def best_of(entries: Sequence[Entry]) -> list[Entry]:
    """Return the entry of each contender that has the highest median rate, in the contenders' order."""
    best: dict[str, Entry] = {}
    for entry in entries:
        name, rate = entry["contender"], entry["figures"]["samples_per_s"]["median"]
        if name not in best or rate > best[name]["figures"]["samples_per_s"]["median"]:
            best[name] = entry
    return list(best.values())


def _bars(axes: "Axes", entries: Sequence[Entry], figure: str) -> None:
    upwards = list(reversed(entries))  # the first on top
    middle, outer = error_bars(upwards, figure)
    axes.barh([entry["contender"] for entry in upwards], middle, xerr=outer, capsize=3)
