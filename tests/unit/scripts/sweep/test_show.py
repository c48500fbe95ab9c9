from rich.console import Console

from scripts.sweep.show import sweep_table
from scripts.sweep.tables import medians, run_rows
from tests.unit.scripts.sweep.measured import sweep


def test_a_row_for_each_configuration():
    console = Console(width=110)
    with console.capture() as captured:
        console.print(sweep_table(medians(run_rows(sweep()))))
    lines = captured.get().splitlines()
    assert len(lines) == 3 + 5
    assert "9.50" in lines[3]
    assert "2 of 2" in lines[3]
    assert lines[-1].split()[-5:] == ["-", "-", "0", "of", "1"]
