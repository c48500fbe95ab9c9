from rich.console import Console

from scripts.bench.commit.measure import CommitResults
from scripts.bench.commit.tables import result_tables
from scripts.series import Round


def test_each_figure_has_a_row_with_both_medians_and_their_ratio(capsys):
    results = CommitResults()
    results.base.rounds += rounds(1.0, 1.2, 1.0)
    results.this.rounds += rounds(1.5, 1.5, 1.8)
    Console(width=120).print(result_tables(results))
    printed = capsys.readouterr().out
    (row,) = (line for line in printed.splitlines() if "start of a rank alone" in line)
    assert "1.00 (1.00-1.20)" in row
    assert "1.50 (1.50-1.80)" in row
    assert "1.500" in row
    assert "3 pairs" in printed


def rounds(*seconds: float) -> list[Round]:
    return [{"rank_start_s": figure} for figure in seconds]
