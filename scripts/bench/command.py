"""The command that every benchmark is.

A benchmark turns its flags into a `Benchmark`, which holds what is its own, and `run_benchmark` does the rest alike for
all. It checks the files, describes the machine, measures, prints tables, writes the files and tells what failed.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from rich.console import Console, RenderableType

from lambda_image.model.engine_files import Device
from scripts.bench.errors import BenchmarkError
from scripts.console import output_console, print_tables
from scripts.machine import describe_machine
from scripts.output_files import Draw, check_files, write_figures, write_picture
from scripts.step_progress import StepProgress


class BenchmarkResults(Protocol):
    """What was measured, and a line for everything that could not be."""

    @property
    def failures(self) -> Sequence[str]: ...
    def to_json(self) -> dict[str, Any]: ...


R = TypeVar("R", bound=BenchmarkResults)


@dataclass(frozen=True, kw_only=True)
class Benchmark(Generic[R]):
    """What is a benchmark's own.

    Attributes:
        name: Its name on the command line and in the report.
        packages: The packages whose versions belong in the report.
        measure: Measures everything. It begins the progress display with the number of its steps.
        tables: Shows the results to people, in the width of a console.
        draw: Draws the report.
        device: What is measured on.
        settings: What else belongs in the report.
        table_width: The width of the tables, in columns, where the output is no terminal, which would know its own.
        linux_for: What it needs Linux for; empty where it runs elsewhere.
    """

    name: str
    packages: Sequence[str]
    measure: Callable[[StepProgress], R]
    tables: Callable[[R, Console], RenderableType]
    draw: Draw
    device: Device = "cpu"
    settings: Mapping[str, Any] = field(default_factory=dict)
    table_width: int = 120
    linux_for: str = ""


def run_benchmark(
    benchmark: Benchmark[R], figures: Path | None, picture: Path | None, *, overwrite: bool = False
) -> int:
    """Run a benchmark from its flags to its exit status.

    Args:
        benchmark: What is measured.
        figures: The file of `--json`.
        picture: The file of `--picture`.
        overwrite: Whether `--overwrite` allows to replace them.

    Returns:
        The exit status, which is 1 where something could not be measured.

    Raises:
        UsageError: A file could not be written afterwards.
        BenchmarkError: Nothing can be measured.
    """
    check_files(figures, picture, overwrite=overwrite)
    if benchmark.linux_for and sys.platform != "linux":
        raise BenchmarkError(f"this benchmark needs Linux: {benchmark.linux_for}")
    report: dict[str, Any] = {
        "benchmark": benchmark.name,
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(benchmark.packages, benchmark.device),
        **benchmark.settings,
    }
    with StepProgress(sys.stdout) as progress:
        results = benchmark.measure(progress)
    report |= results.to_json()
    console = output_console(benchmark.table_width)
    print_tables(console, benchmark.tables(results, console))
    write_figures(report, figures, console)
    write_picture(report, picture, benchmark.draw, console)
    for failure in results.failures:
        print(f"cosmicai: {failure}", file=sys.stderr)
    return 1 if results.failures else 0
