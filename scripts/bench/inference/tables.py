"""The figures as tables for people."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from scripts.bench.formatting import NOTHING, format_spread
from scripts.bench.inference.measure import COLD, PEAK, RATE, InferenceResults

HOW = (
    "Samples/s at each contender's best batch size; of the GEMM limit: against a machine that does nothing but float32 "
    "products at the rate measured in the same run. Each contender is a process of its own; they take turns."
)
WHOLE, HUNDREDTHS = "{:,.0f}".format, "{:,.2f}".format


def result_tables(results: InferenceResults) -> RenderableType:
    """Return a row for each contender, the ratios that engines are judged by, and the limit."""
    gemm = results.gemm.figures()["gflops"]
    limit = gemm.median * 1e9 / results.flops_per_sample
    table = Table(title="inference", title_justify="left", caption=HOW, caption_justify="left")
    table.add_column("contender")
    for column in ("batch", "samples/s", "of the GEMM limit", "cold start s", "peak MB"):
        table.add_column(column, justify="right")
    for name, cold in results.cold.items():
        started, best = cold.figures(), results.best(name)
        if best is None:
            table.add_row(name, NOTHING, NOTHING, NOTHING, format_spread(started[COLD], HUNDREDTHS), NOTHING)
            continue
        rate = best.figures()[RATE]
        table.add_row(
            name,
            str(best.labels["batch_size"]),
            format_spread(rate, WHOLE),
            f"{rate.median / limit:.0%}",
            format_spread(started[COLD], HUNDREDTHS),
            f"{best.figures()[PEAK].high:.0f}",
        )
    ratios = Table(title="ratios of medians", title_justify="left", show_header=False)
    for name, ratio in results.ratios().items():
        ratios.add_row(name, f"{ratio:.2f}")
    peak = f"GEMM: {format_spread(gemm, WHOLE)} GFLOP/s; {results.flops_per_sample / 1e9:.4f} GFLOP per sample"
    return Group(table, ratios, Text(f"{peak}: at most {limit:,.0f} samples/s. Medians, with lowest and highest."))
