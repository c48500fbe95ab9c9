import csv
import io
from pathlib import Path

import pytest
from rich.console import Console

from scripts.logs.history import ExecutionTimes
from scripts.logs.invocations import find_invocations
from scripts.logs.tables import SHOWN, rows, table, totals, write_csv
from tests.unit.scripts.logs.made_exports import log, report, request_id

TIMES = ExecutionTimes(14.0, None)


def shown(ranks: int) -> str:
    found = find_invocations(log(ranks), "stars-rank")
    console = Console(width=110, record=True, file=io.StringIO())
    console.print(table(rows(found), totals(found, TIMES, "x86_64")))
    return console.export_text()


def test_what_is_billed_is_added_up():
    found = find_invocations(log(3))
    summed = totals(found, TIMES, "x86_64")
    assert summed["billed_s"] == pytest.approx(4.503)
    assert summed["billed_gb_s"] == pytest.approx(4.503 * 3008 / 1024)
    assert summed["lambda_usd"] == pytest.approx(4.503 * 3008 / 1024 * 0.0000166667 + 3 * 0.0000002)
    assert (summed["invocations"], summed["ranks"], summed["cold_starts"]) == (3, 3, 2)
    assert summed["duration_ms"] == {"median": 1001, "max": 1002}
    assert totals(found, TIMES, "arm64")["lambda_usd"] < summed["lambda_usd"]


def test_a_restore_is_billed_beside_the_rest():
    text = report(0).replace("Init Duration: 500.00 ms", "Restore Duration: 300.5 ms\tBilled Restore Duration: 301 ms")
    [start, *_, end] = log(1)
    found = find_invocations([start, type(end)(end.time_ms, text, end.stream)])
    assert totals(found, TIMES, "x86_64")["billed_s"] == pytest.approx(1.801)


def test_nothing_adds_up_to_nothing():
    found = find_invocations([])
    assert totals(found, TIMES, "x86_64")["lambda_usd"] == 0
    table(rows(found), totals(found, TIMES, "x86_64"))


def test_csv_has_a_line_for_each(tmp_path: Path):
    found = find_invocations(reversed(log(3)), "stars-rank")
    write_csv(tmp_path / "out.csv", rows(find_invocations(log(3), "stars-rank")))
    with (tmp_path / "out.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [line["rank"] for line in lines] == ["0", "1", "2"]
    assert lines[2] | {"log_stream": ""} == {
        "function": "stars-rank",
        "rank": "2",
        "request_id": request_id(2),
        "ended": "2026-11-28T17:12:11.000+00:00",
        "duration_ms": "1002.0",
        "billed_ms": "1502.0",
        "init_ms": "",
        "restore_ms": "",
        "billed_restore_ms": "",
        "memory_mb": "3008",
        "peak_mb": "133",
        "status": "",
        "error_type": "",
        "log_stream": "",
    }
    assert len(found.invocations) == 3


def test_the_table_shows_the_longest_of_many():
    said = shown(SHOWN + 5)
    assert f"of {SHOWN + 5} ranks" in said
    assert f"the {SHOWN} longest" in said
    assert said.count("stars-rank") == SHOWN
    assert "restore" not in said  # a column that nobody would fill
    assert "14.00 s" in said
