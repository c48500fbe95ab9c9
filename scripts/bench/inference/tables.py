"""The figures as tables for people."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from scripts.bench.inference.measure import COLD, PEAK, RATE, Results
from scripts.bench.rounds import Spread

HOW = (
    "Samples/s at each contender's best batch size; of the GEMM limit: against a machine that does nothing but float32 "
    "products at the rate measured in the same run. Each contender is a process of its own; they take turns."
)
NOTHING = "-"


def result_tables(results: Results) -> RenderableType:
    gemm = results.gemm.figures()["gflops"]
    limit = gemm.median * 1e9 / results.flops_per_sample
    table = Table(title="inference", title_justify="left", caption=HOW, caption_justify="left")
    table.add_column("contender")
    for column in ("batch", "samples/s", "of the GEMM limit", "cold start s", "peak MB"):
        table.add_column(column, justify="right")
    for name, cold in results.cold.items():
        started, best = cold.figures(), results.best(name)
        if best is None:
            table.add_row(name, NOTHING, NOTHING, NOTHING, in_words(started[COLD], 2), NOTHING)
            continue
        rate = best.figures()[RATE]
        table.add_row(
            name,
            str(best.labels["batch_size"]),
            in_words(rate, 0),
            f"{rate.median / limit:.0%}",
            in_words(started[COLD], 2),
            f"{best.figures()[PEAK].high:.0f}",
        )
    ratios = Table(title="ratios of medians", title_justify="left", show_header=False)
    for name, ratio in results.ratios().items():
        ratios.add_row(name, f"{ratio:.2f}")
    peak = f"GEMM: {in_words(gemm, 0)} GFLOP/s; {results.flops_per_sample / 1e9:.4f} GFLOP per sample"
    return Group(table, ratios, Text(f"{peak}: at most {limit:,.0f} samples/s. Medians, with lowest and highest."))


def in_words(figure: Spread, digits: int) -> str:
    median, low, high = (f"{value:,.{digits}f}" for value in (figure.median, figure.low, figure.high))
    return median if low == high else f"{median} ({low}-{high})"
