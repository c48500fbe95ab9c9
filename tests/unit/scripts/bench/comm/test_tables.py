import re

import pytest
from rich.console import Console

from scripts.bench.comm.contenders import CONTENDERS
from scripts.bench.comm.measure import CommResults, compare
from scripts.bench.comm.tables import result_tables
from scripts.series import Series


def shown(results: CommResults, width: int) -> str:
    console = Console(width=width)
    with console.capture() as capture:
        console.print(result_tables(results, console))
    return capture.get()


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
    text = shown(CommResults([barrier, *rounds]), 150)
    rows = [re.split(r"  +", line.strip()) for line in text.splitlines() if re.match(" +[24]  ", line)]
    assert rows == [
        ["2", "barrier", "-", "-", "-", "0.50", "-", "-", "-", "-"],
        ["4", "gather", "1 MB", "1", "8", "4", "3", "2", "0.50", "4"],
    ]
    assert "Other work took 0.25 cores" in text


@pytest.mark.parametrize(
    ("width", "words"),
    [
        (200, "10,000 (9,000-11,000)"),
        (140, "(9,000-11,000)"),
        (80, "A wider terminal shows the lowest and the highest"),
    ],
)
def test_no_figure_is_cut(width: int, words: str):
    case = {"operation": "allreduce", "size": 200_000_000, "world_size": 64}
    rounds = [[{"ms": time} for time in (9000.0, 10_000.0, 11_000.0)] for _ in CONTENDERS]
    series = [Series({**case, "contender": c.name, "kind": c.kind}, r) for c, r in zip(CONTENDERS, rounds, strict=True)]
    compare(series)
    text = shown(CommResults(series), width)
    assert "…" not in text
    assert text.count("10,000") == 5  # once for each column of times: nothing is broken over lines
    assert words in " ".join(text.split())
