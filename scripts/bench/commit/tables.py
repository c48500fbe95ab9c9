"""The figures as a table for people."""

from rich.console import RenderableType
from rich.table import Table

from scripts.bench.commit.measure import RANK_START, CommitResults
from scripts.bench.commit.whole_run import COLD_START, COMMAND, INFERENCE, PEAK, RUN
from scripts.bench.formatting import format_spread
from scripts.bench.rounds import CONFIDENCE

WORDS = {
    RANK_START: "start of a rank alone, s",
    COMMAND: "cosmicai demo, s",
    RUN: "the run in it, s",
    COLD_START: "cold start of a rank in it, s",
    INFERENCE: "inference of a rank in it, s",
    PEAK: "peak memory of a rank in it, MB",
}
HOW = (
    "Medians of the pairs, with the lowest and the highest. The ratio is that of the medians, and over 1 where this "
    f"checkout is slower or larger. Its interval covers {CONFIDENCE:.0%}, by resampling the pairs."
)


def result_tables(results: CommitResults) -> RenderableType:
    """Return a row for each figure."""
    pairs = len(results.this.rounds)
    table = Table(title=f"this checkout and the base, {pairs} pairs", title_justify="left", caption=HOW)
    table.caption_justify = "left"
    table.add_column("")
    for column in ("base", "this", "ratio", "interval"):
        table.add_column(column, justify="right")
    base, this = results.base.figures(), results.this.figures()
    for name, interval in results.ratios().items():
        table.add_row(
            WORDS[name],
            format_spread(base[name], "{:,.2f}".format),
            format_spread(this[name], "{:,.2f}".format),
            f"{interval.middle:.3f}",
            f"{interval.low:.3f} to {interval.high:.3f}",
        )
    return table
