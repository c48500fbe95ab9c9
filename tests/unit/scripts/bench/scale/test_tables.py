from rich.console import Console

from scripts.bench.scale.measure import ScaleResults
from scripts.bench.scale.tables import result_tables
from scripts.series import Series

FIGURES = {"seconds": 12.0, "cpu_s": 9.0, "peak_mb": 250.0, "lists": 1100.0, "item_bytes": 430.0}


def test_each_size_has_a_row_and_one_that_failed_has_no_figures():
    labels = [{"objects": 1_000_000, "ranks": 10_000}, {"objects": 10, "ranks": 10}]
    results = ScaleResults({"init": [Series(labels[0], [FIGURES]), Series(labels[1])]})
    console = Console(width=120)
    with console.capture() as capture:
        console.print(result_tables(results))
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in capture.get().splitlines() if "│" in line]
    assert rows == [
        ["1,000,000", "10,000", "12", "9", "250", "1,100", "430"],
        ["10", "10", *["-"] * 5],
    ]


def test_a_run_has_a_row_for_each_of_its_processes():
    figures = {"root_lap_s": 3.0, "root_peak_mb": 120.0, "crowd_lap_s": 40.0, "run_lap_s": 50.0}
    results = ScaleResults({"run": [Series({"ranks": 2048, "galaxies": 100}, [figures])]})
    console = Console(width=160)
    with console.capture() as capture:
        console.print(result_tables(results))
    rows = [[cell.strip() for cell in line.split("│")[1:5]] for line in capture.get().splitlines() if "│" in line]
    assert rows == [
        ["2,048", "rank 0", "3", "-"],
        ["2,048", "the others", "40", "-"],
        ["2,048", "the run", "50", "-"],
    ]
