from pathlib import Path

import pytest
from rich.console import Console

from scripts.sweep.folder import SweepFolder
from scripts.sweep.show import show_sweep, shown, sweep_table
from scripts.sweep.tables import medians, run_rows
from tests.unit.scripts.sweep.measured import measured, sweep


def test_a_row_for_each_configuration():
    console = Console(width=110)
    with console.capture() as captured:
        console.print(sweep_table(medians(run_rows(sweep()))))
    lines = captured.get().splitlines()
    assert len(lines) == 3 + 5
    assert "9.50" in lines[3]
    assert "2 of 2" in lines[3]
    assert lines[-1].split()[-5:] == ["-", "-", "0", "of", "1"]


def test_the_documents_tables_are_shown_whole_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder, runs = SweepFolder(tmp_path), [measured(1, batch) for batch in (64, 128)]
    folder.begin([run.configuration for run in runs], "batches")
    for run in runs:
        folder.keep(run)
    assert len(show_sweep(folder)) == 2
    printed = capsys.readouterr().out
    assert "Batch sizes on one rank" in printed
    assert "…" not in printed
    lines = (tmp_path / "batches.csv").read_text().splitlines()
    assert lines[0].startswith("Batch Size,Total Time (s),Throughput (bps)")
    assert [line.split(",")[0] for line in lines[1:]] == ["64", "128"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((0.00029712, "0.0002971"), (112.786, "112.8"), (24149.78, "24,150"), (31_118_882.0, "31.12M")),
        *((1253, "1,253"), (None, "-"), ("large", "large"), (0.0, "0")),
    ],
)
def test_numbers_have_four_digits(value: float | str | None, text: str):
    assert shown(value) == text
