import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from rich.text import Text

from lambda_image.errors import UsageError
from scripts.bench.command import Benchmark, run_benchmark
from scripts.step_progress import StepProgress


@dataclass
class Results:
    failures: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return {"figures": 7}


def measure(progress: StepProgress) -> Results:
    progress.begin(1)
    progress.step("the only step")
    return Results()


def fail(progress: StepProgress) -> Results:
    return Results(["ours: a rank has ended"])


def draw(report: Mapping[str, Any], file: Path) -> bool:
    file.write_text(str(report["figures"]))
    return True


BENCHMARK = Benchmark(
    name="one",
    packages=("rich",),
    settings={"threads": 2},
    measure=measure,
    tables=lambda results, console: Text(f"a table, {console.width} wide"),
    draw=draw,
    table_width=90,
)


def test_a_benchmark_shows_its_progress_then_its_tables_then_its_files(tmp_path: Path, capsys):
    file = tmp_path / "bench.json"
    assert run_benchmark(BENCHMARK, file, None) == 0
    steps, table, figures = capsys.readouterr().out.splitlines()
    assert steps.endswith("1 of 1  the only step")
    assert (table, figures) == ("a table, 90 wide", f"figures in {file}")
    report = json.loads(file.read_text())
    assert list(report) == ["benchmark", "started_at", "machine", "threads", "figures"]
    assert (report["benchmark"], report["threads"], report["figures"]) == ("one", 2, 7)
    assert list(report["machine"]["versions"]) == ["rich"]


def test_what_was_measured_is_drawn(tmp_path: Path):
    pytest.importorskip("matplotlib")  # which is looked for before the measurement
    run_benchmark(BENCHMARK, None, tmp_path / "bench.svg")
    assert (tmp_path / "bench.svg").read_text() == "7"


def test_failures_are_told_at_the_end_and_make_the_exit_status(capsys: pytest.CaptureFixture[str]):
    assert run_benchmark(replace(BENCHMARK, measure=fail), None, None) == 1
    told = capsys.readouterr()
    assert told.err == "cosmicai: ours: a rank has ended\n"
    assert "a table" in told.out  # the rest was measured


def test_files_are_checked_before_anything_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(UsageError, match="in a folder that does not exist"):
        run_benchmark(BENCHMARK, tmp_path / "none" / "bench.json", None)
    assert not capsys.readouterr().out
