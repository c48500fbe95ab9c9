"""The page about one run."""

from collections.abc import Mapping, Sequence
from typing import Any

from scripts.report.figure import Figure
from scripts.report.page import Page, Section
from scripts.report.run_facts import RunFacts
from scripts.report.run_figures import run_figures
from scripts.runs.tables import totals
from scripts.words import counted

SECTIONS = {  # names of figures, by the heading under which they stand
    "Speed": ("timeline", "phases", "throughput", "starts", "memory", "s3_times", "transports"),
    "Accuracy": ("predicted", "residuals", "residual_histogram", "pit", "measures"),
    "Galaxies with a flag": ("flags", "flagged_galaxies"),
    "Cost": ("cost",),
    "Ranks": ("ranks",),
}
MEASURES = (  # by their keys in summary.json, with what they mean; Δ = predicted − true, δ = Δ / (1 + true)
    ("r2", "R²", "1 − Σ Δ² / Σ (true − mean true)²; 1 is perfect"),  # noqa: RUF001
    ("mae", "MAE", "mean of |Δ|"),
    ("mse", "MSE", "mean of Δ²"),
    ("mean_error", "bias of Δz", "mean of Δ"),
    ("bias", "bias of Δz/(1+z)", "mean of δ"),
    ("nmad", "NMAD", "1.4826 median |δ − median δ|, which outliers hardly change"),  # noqa: RUF001
    ("sigma", "σ of Δz/(1+z)", "standard deviation of δ"),  # noqa: RUF001
    ("outliers_005", "outliers beyond 0.05", "fraction of galaxies with |δ| > 0.05"),
    ("outliers_015", "outliers beyond 0.15", "fraction of galaxies with |δ| > 0.15"),
    ("samples_with_truth", "galaxies measured", "those with a prediction and a known redshift"),
    ("without_truth", "without a true redshift", "galaxies that the measures leave out"),
    ("without_prediction", "without a prediction", "galaxies that the measures leave out"),
)
RANK_COLUMNS = {  # by their keys in a record
    "rank": "rank",
    "attempt": "attempt",
    "samples": "galaxies",
    "transport": "transport",
    "engine": "engine",
    "sample_persec": "galaxies per second",
    "total_process_memory (MB)": "peak memory (MB)",
}
PHASE_COLUMNS = {
    "cold_start_s": "cold start (s)",
    "download_s": "download (s)",
    "inference_s": "infer (s)",
    "gather_s": "gather (s)",
    "total_s": "total (s)",
}


def run_page(facts: RunFacts) -> Page:
    """Makes the page about a run."""
    summary = facts.summary
    figures = {figure.name: figure for figure in [*run_figures(facts), *_tables(facts)]}
    sections = [
        Section(heading, [figures[name] for name in names if name in figures]) for heading, names in SECTIONS.items()
    ]
    failed = [f"rank {one['rank']} failed: {one['error']}: {one['cause']}" for one in summary["failed_ranks"]]
    galaxies, predicted = summary["samples"], (summary.get("rows") or {}).get("predicted")
    of = f"{predicted:,} of " if predicted not in (None, galaxies) else ""
    galaxies = f"{of}{counted(galaxies, 'galaxy', 'galaxies')}"
    lead = f"The run {summary['status']}. It predicted {galaxies} with {counted(summary['world_size'], 'rank')}."
    return Page(
        title=f"Run {summary['run_id']}",
        lead=lead,
        facts=totals(summary, facts.records),
        notices=[*failed, *summary["warnings"], *facts.missing],
        sections=[section for section in sections if section.figures],
    )


def _tables(facts: RunFacts) -> Sequence[Figure]:
    measures = [
        (name, summary_value, meaning)
        for key, name, meaning in MEASURES
        if (summary_value := facts.summary.get(key)) is not None
    ]
    tables = []
    if facts.summary.get("samples_with_truth"):
        caption = "Δ is predicted − true redshift, and δ is Δ / (1 + true)."  # noqa: RUF001
        tables.append(
            Figure("measures", "Measures of accuracy", caption, ("measure", "value", "definition"), measures, wide=True)
        )
    if facts.records:
        columns = [*RANK_COLUMNS.values(), *PHASE_COLUMNS.values()]
        rows = [_rank(record) for record in facts.records]
        tables.append(Figure("ranks", "All ranks", "The first attempt of a rank is 0.", columns, rows, wide=True))
    return tables


def _rank(record: Mapping[str, Any]) -> list[float | int | str | None]:
    values = [record[key] for key in RANK_COLUMNS] + [record["phases"][key] for key in PHASE_COLUMNS]
    return [round(value, 3) if isinstance(value, float) else value for value in values]
