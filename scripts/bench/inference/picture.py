"""The figures as a picture, from the JSON that the benchmark writes. Needs matplotlib, which is optional."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE_INCHES = (11, 4.5)

Entry = Mapping[str, Any]  # one series in the JSON


def draw(report: Mapping[str, Any], file: Path) -> bool:
    """Whether there was anything to draw, as there always is. ImportError without matplotlib."""
    from matplotlib.figure import Figure  # here: it takes half a second, and most runs draw nothing

    figure = Figure(figsize=SIZE_INCHES, layout="constrained")
    rates, cold = figure.subplots(1, 2)
    limit = report["gemm"]["figures"]["gflops"]["median"] * 1e9 / report["flops_per_sample"]
    best = best_of(report["inference"])
    _bars(rates, best, "samples_per_s")
    rates.axvline(limit, linestyle=":", color="grey", label="float32 GEMM limit")
    rates.set(title="inference at the best batch size", xlabel="samples/s")
    rates.legend(fontsize="small")
    _bars(cold, report["cold_start"], "cold_start_s")
    cold.set(title="cold start to the first prediction", xlabel="s")
    machine = report["machine"]
    name = machine.get("gpu") or f"{machine['cpu']}, {machine['cores']} cores"
    figure.suptitle(f"{name}. Medians, with the lowest and the highest round")
    figure.savefig(file)
    return True


def best_of(entries: Sequence[Entry]) -> list[Entry]:
    """Of each contender the entry with the highest median rate, in their order."""
    best: dict[str, Entry] = {}
    for entry in entries:
        name, rate = entry["contender"], entry["figures"]["samples_per_s"]["median"]
        if name not in best or rate > best[name]["figures"]["samples_per_s"]["median"]:
            best[name] = entry
    return list(best.values())


def _bars(axes: "Axes", entries: Sequence[Entry], figure: str) -> None:
    figures = [entry["figures"][figure] for entry in reversed(entries)]  # the first on top
    outer = ([f["median"] - f["low"] for f in figures], [f["high"] - f["median"] for f in figures])
    names = [entry["contender"] for entry in reversed(entries)]
    axes.barh(names, [f["median"] for f in figures], xerr=outer, capsize=3)
