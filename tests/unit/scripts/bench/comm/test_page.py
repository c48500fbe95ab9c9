"""The tables of docs/communicator.md, from the report of a benchmark."""

import json
from pathlib import Path
from typing import Any

import pytest

from scripts.bench.comm.contenders import CONTENDERS, GLOO, OURS, RAW
from scripts.bench.comm.page import END, TABLES, main, processor_time, replaced, times

DOCUMENT = Path(__file__).resolve().parents[5] / "docs" / "communicator.md"
MARKED = "".join(f"# {name}\n<!-- figures {name} -->\nformer\n{END}\nkept\n" for name in TABLES)


def entry(operation: str, size: int, world: int, name: str, kind: str, ms: float, **more: float) -> dict[str, Any]:
    figures = {"ms": ms, "cpu_ms_of_root": ms / 2, "cpu_ms_of_each_other": ms / 4, "other_work_cores": 0.25, **more}
    labels = {"operation": operation, "size": size, "world_size": world, "contender": name, "kind": kind}
    spreads = {one: {"median": value} for one, value in figures.items()}
    return {**labels, "figures": spreads, "rounds": [{"ms": factor * ms} for factor in (1, 3, 2)]}


@pytest.fixture
def report() -> dict[str, Any]:
    entries = []
    for operation, size in (("barrier", 0), ("gather", 1_000_000)):
        for world in (2, 8):
            for number, one in enumerate(CONTENDERS):
                more = {"times_gloo": float(world), "share_of_raw": 0.5} if one.kind == OURS else {}
                entries.append(entry(operation, size, world, one.name, one.kind, 1.0 + number, **more))
    return {"comm": entries, "machine": {"cpu": "AMD EPYC", "cores": 2}, "failures": []}


def test_a_row_for_each_operation_with_all_numbers_of_ranks(report: dict[str, Any]) -> None:
    lines = times(report).splitlines()
    assert lines[0] == (
        "These are milliseconds for 2 / 8 ranks, measured on 2 cores of an AMD EPYC, of which other programs took 0.25."
    )
    assert lines[2] == "|  | per rank | raw sockets | Gloo | ours, bare | ours, `out=` | ours |"
    assert lines[4] == "| barrier |  | 5 / 5 | 8 / 8 | 3 / 3 | 2 / 2 | 1 / 1 |"
    assert lines[5].startswith("| gather | 1 MB | 5 / 5 |")
    assert max(map(len, lines)) <= 120
    said = " ".join(lines[7:])
    assert (
        "In the geometric mean of 4 rows *ours* is 4.00 times as fast as Gloo, and 2.00 times in the lowest, barrier "
        "at 2 ranks. "
    ) in said
    assert "Of raw sockets' speed *ours, bare* has barrier 0.50 / 0.50, gather of 1 MB 0.50 / 0.50. " in said
    assert said.endswith("Of the speed of *ours, bare* with receipts *ours* has gather of 1 MB 4.00 / 4.00.")


def test_the_processor_time_of_a_root_and_of_each_other_rank(report: dict[str, Any]) -> None:
    rows = processor_time(report).splitlines()[2:]
    assert rows[0] == "| barrier | 2 | 2,500 | 1,250 | 1,500 | 750 | 2,000 | 1,000 | 500 | 250 |"
    assert [row.split(" | ")[:2] for row in rows] == [["| barrier", "2"], ["| barrier", "8"], ["| gather of 1 MB", "8"]]


@pytest.mark.parametrize("kind", [RAW, GLOO, OURS])
def test_what_was_not_measured_is_a_dash(report: dict[str, Any], kind: str) -> None:
    report["comm"] = [one for one in report["comm"] if one["kind"] != kind or one["operation"] != "barrier"]
    report["comm"] = [one for one in report["comm"] if one["world_size"] != 8 or one["kind"] != kind]
    assert "- / -" in times(report)
    assert ("| - |" in processor_time(report)) == (kind != GLOO)


def test_the_document_is_written_between_its_marks(report: dict[str, Any], tmp_path: Path) -> None:
    figures, document = tmp_path / "comm.json", tmp_path / "page.md"
    figures.write_text(json.dumps(report))
    document.write_text(MARKED)
    assert main([str(figures), str(document)]) == 0
    first = document.read_text()
    assert "former" not in first
    assert first.count("kept") == len(TABLES)
    assert times(report) in first
    assert main([str(figures), str(document)]) == 0
    assert document.read_text() == first


@pytest.mark.parametrize(
    ("figures", "document", "complaint"),
    [
        ("{}", MARKED, "comm.json is nothing that cosmicai bench comm --json has written: 'comm'"),
        ('{"comm": []}', MARKED, "there are no figures in it"),
        ("no JSON", MARKED, "comm.json is nothing"),
        (None, "nothing marked", "page.md has no lines <!-- figures times -->"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_is_written(
    report: dict[str, Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    figures: str | None,
    document: str,
    complaint: str,
) -> None:
    (tmp_path / "comm.json").write_text(figures or json.dumps(report))
    (tmp_path / "page.md").write_text(document)
    assert main([str(tmp_path / "comm.json"), str(tmp_path / "page.md")]) == 1
    said = capsys.readouterr().err
    assert complaint in said
    assert said.count("\n") == 1
    assert (tmp_path / "page.md").read_text() == document


def test_a_file_that_is_missing_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "absent.json"), str(DOCUMENT)]) == 1
    assert "absent.json" in capsys.readouterr().err


@pytest.mark.parametrize("name", TABLES)
def test_the_document_has_the_marks(name: str) -> None:
    assert "NEW" in replaced(DOCUMENT.read_text(), name, "NEW", DOCUMENT)
