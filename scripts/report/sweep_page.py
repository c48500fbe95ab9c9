"""The page about a sweep."""

from collections.abc import Mapping, Sequence
from typing import Any

from scripts.report.baseline import Baseline
from scripts.report.documents import document_figures
from scripts.report.figure import Figure, six_digits
from scripts.report.page import Page, Section
from scripts.report.sweep_figures import NAMES, best, sweep_figures
from scripts.sweep.folder import SUCCEEDED, Measured
from scripts.sweep.tables import medians, run_rows
from scripts.words import counted

NAMED_REASONS = 10  # of runs that were not made, as one reason holds for many
SHOWN = (
    *("world_size", "batch_size", "rows", "partitions", "partition_mb", "file_limit", "memory_mb"),
    *("runs", "failed", "wall_s", "wall_s_least", "wall_s_most", "samples_per_s", "inference_s", "seconds_per_batch"),
    *("batches", "peak_memory_mb", "cost_usd", "r2", "mae", "mse", "bias", "nmad"),
)


def sweep_page(
    title: str,
    runs: Sequence[Measured],
    planned: int,
    baselines: Sequence[Baseline] = (),
    preset: str | None = None,
) -> Page:
    """Makes the page about a sweep.

    Args:
        title: The heading of the page.
        runs: Those that have ended.
        planned: How many there are to be.
        baselines: What a local machine took.
        preset: The preset that the runs are of.
    """
    rows = run_rows(runs)
    together = medians(rows)
    good = sum(run.status == SUCCEEDED for run in runs)
    reasons = list(dict.fromkeys(f"{run.configuration}: {run.status}, {run.reason}" for run in runs if run.reason))
    more = (
        [f"{counted(len(reasons) - NAMED_REASONS, 'more run')} did not succeed."]
        if len(reasons) > NAMED_REASONS
        else []
    )
    left = [f"{counted(planned - len(runs), 'run')} of the plan have not ended yet."] if len(runs) < planned else []
    figures = sweep_figures(rows, together)
    sections = [
        Section(f"By {name}", [figure for figure in figures if figure.name.endswith(f"_by_{setting}")])
        for setting, name in NAMES.items()
    ]
    rest = [figure for figure in figures if "_by_" not in figure.name]
    sections += [
        Section("As in the documents", document_figures(preset, rows, together, baselines)),
        Section("Against one rank, and for the money", rest),
        Section("All configurations", [_table(together)]),
    ]
    return Page(
        title=title,
        lead=f"{counted(good, 'run')} of {planned:,} succeeded, in {counted(len(together), 'configuration')}.",
        facts=best(together),
        notices=[*reasons[:NAMED_REASONS], *more, *left],
        sections=[section for section in sections if section.figures],
    )


def _table(together: Sequence[Mapping[str, Any]]) -> Figure:
    columns = [name for name in SHOWN if any(row[name] is not None for row in together)]
    rows = [[six_digits(row[name]) for name in columns] for row in together]
    return Figure("configurations", "Medians over repeats", "A row for each configuration.", columns, rows, wide=True)
