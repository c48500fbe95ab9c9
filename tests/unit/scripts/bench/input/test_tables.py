from collections import Counter

from rich.console import Console

from scripts.bench.input.judge import FAILED, REFUSED
from scripts.bench.input.measure import InputResults
from scripts.bench.input.tables import OUTCOMES, result_tables


def test_each_kind_of_change_has_a_row_and_so_have_all() -> None:
    results = InputResults("eager", {"flip": Counter({FAILED: 1}), "cut": Counter({REFUSED: 1200})}, Counter(kept=7))
    console = Console(width=120)
    with console.capture() as capture:
        console.print(result_tables(results))
    shown = ([cell.strip() for cell in line.split("│")[1:-1]] for line in capture.get().splitlines())
    rows = {cells[0]: cells[1:] for cells in shown if cells}
    assert rows.pop("kept") == ["7"]
    places = [0, *(1 + OUTCOMES.index(outcome) for outcome in (REFUSED, FAILED))]
    counted = {name: [cells[place] for place in places] for name, cells in rows.items()}
    assert counted == {"cut": ["1,200", "1,200", "0"], "flip": ["1", "0", "1"], "all": ["1,201", "1,200", "1"]}
