from rich.console import Console

from scripts.bench.comm.contenders import CONTENDERS
from scripts.bench.comm.measure import Results, compare
from scripts.bench.comm.tables import result_tables
from scripts.bench.rounds import Series


def test_a_row_for_each_case_with_the_fastest_raw_sockets():
    case = {"operation": "gather", "size": 1_000_000, "world_size": 4}
    times = {"ours": 4.0, "ours, out=": 3.0, "ours, bare": 2.0, "raw, threads": 1.0, "Gloo": 8.0}
    rounds = [
        Series({**case, "contender": one.name, "kind": one.kind}, [{"ms": times.get(one.name, 5.0)}])
        for one in CONTENDERS
    ]
    compare(rounds)
    barrier = Series({"operation": "barrier", "size": 0, "world_size": 2, "contender": "ours", "kind": "ours"})
    barrier.rounds.append({"ms": 0.5, "other_work_cores": 0.25})
    console = Console(width=150)
    with console.capture() as capture:
        console.print(result_tables(Results([barrier, *rounds])))
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in capture.get().splitlines() if "│" in line]
    assert rows == [
        ["2", "barrier", "-", "-", "-", "0.50", "-", "-", "-", "-"],
        ["4", "gather", "1 MB", "1", "8", "4", "3", "2", "0.50", "4"],
    ]
    assert "Other work took 0.25 cores" in capture.get()
