import re
from pathlib import Path
from statistics import fmean

import pytest

from scripts.report.baseline import COLUMNS, Baseline
from scripts.report.documents import COMPARED, TABLES, document_figures
from scripts.report.figure import Figure
from scripts.sweep.configuration import Configuration
from scripts.sweep.folder import FAILED, Measured
from scripts.sweep.presets import PRESETS
from scripts.sweep.tables import medians, run_rows
from tests.unit.scripts.sweep.measured import measured

ROOT = Path(__file__).resolve().parents[4]
SEEDS = ROOT.parent / "shared" / "seeds"
LOCAL = [Baseline(32, 80, 38.0)]


def figures(preset: str | None, runs: list[Measured], baselines: list[Baseline] | None = None) -> dict[str, Figure]:
    rows = run_rows(runs)
    return {one.name: one for one in document_figures(preset, rows, medians(rows), baselines or [])}


def row_of(figure: Figure, number: int = 0) -> dict[str, object]:
    return dict(zip(figure.columns, figure.rows[number], strict=True))


def test_each_preset_of_the_documents_has_a_table():
    assert {*TABLES, *COMPARED} == PRESETS.keys() - {"quick"}
    assert {name for name, preset in PRESETS.items() if preset.beside_local} == set(COMPARED)


def test_no_other_sweep_has_one():
    assert figures(None, [measured(1)]) == {}
    assert figures("quick", [measured(1)]) == {}


def test_averages_are_means_over_batch_sizes():
    runs = [measured(1, batch, wall_s=wall) for batch, wall in ((8, 4.0), (16, 6.0))] + [measured(2, 8, wall_s=3.0)]
    found = figures("worlds", runs)
    assert found["world_averages"].rows[0] == (1, 5.0, pytest.approx(fmean((10.0, 40 / 6)), rel=1e-5))
    assert row_of(found["worlds"], 2)["Duration (s)"] == 3.0


def test_precision_is_the_published_multiple():
    found = figures("batches", [measured(1, nmad=0.014826)])
    assert row_of(found["batches"])["Precision"] == pytest.approx(0.0148)
    record = measured(1).records[0]
    assert row_of(found["billed"])["Duration (sec)"] == record["phases"]["total_s"]
    billed = row_of(found["billed"])["Billed Duration (sec)"]
    assert billed == pytest.approx(record["phases"]["total_s"] + record["phases"]["cold_start_s"], abs=0.001)


def test_data_sizes_are_those_of_the_files_that_are_used():
    runs = []
    for limit in (None, 3, 9):
        one = measured(2)
        configuration = Configuration(2, 512, 4 * 1253, 25, copies=4, file_limit=limit)
        runs.append(Measured(configuration, one.status, None, one.summary, one.records))
    found = figures("file-limits", runs)["file_limits"]
    assert [row_of(found, number)["Data Size (GB)"] for number in range(3)] == [0.1, 0.075, 0.1]
    of_batches = row_of(figures("partitions", runs)["datasets"])
    assert of_batches["Monthly Cost ($)"] == pytest.approx(1000 * 0.002)


def test_a_run_that_failed_is_a_row_with_its_reason():
    failed = Measured(Configuration(1, 512, 1253, memory_mb=128), FAILED, "out of memory: 3 processes were killed")
    row = row_of(figures("memory", [failed])["memory"])
    assert (row["Memory Size (MB)"], row["Duration (sec)"]) == (128, None)
    assert row["Reason"] == "out of memory: 3 processes were killed"


def test_the_comparison_has_months_of_one_rank():
    found = figures("comparison", [measured(1), measured(2)], LOCAL)
    assert tuple(found["baseline"].columns) == COLUMNS
    (row,) = found["months"].rows
    assert row[:4] == (32, 40, pytest.approx(19 * 0.3712 / 3.6, rel=1e-5), 1.0)
    assert figures("comparison", [measured(1)]) == {}


@pytest.mark.skipif(not SEEDS.is_dir(), reason="../shared has the documents, and is not here")
def test_headings_are_those_of_the_documents():
    text = "\n".join(file.read_text() for file in sorted(SEEDS.glob("*.txt")))
    stated = {re.sub(r"\W", "", word).lower() for line in text.splitlines() for word in re.split(r"[|\t]|\s{2,}", line)}
    stated |= {re.sub(r"\W", "", word).lower() for word in re.findall(r"- \*?\*?([\w ]+):", text)}
    ours = {
        *("Run Time (s)", "Run Throughput (bps)", "File Limit", "Cost ($)", "Memory (MB)", "Memory (GB)"),
        *("Dataset (MB)", "Reason", "Memory Size (MB)", "Max Memory Used (MB)", "Init Duration (sec)"),
        *("Duration (sec)", "Billed Duration (sec)"),
    }  # what the documents have in another unit, in their text only or not at all
    for tables in TABLES.values():
        for table in tables:
            lacking = {head for head in table.columns if re.sub(r"\W", "", head).lower() not in stated} - ours
            assert not lacking, table.name


def test_the_page_has_each_table_with_its_headings():
    page = (ROOT / "docs" / "documents.md").read_text(encoding="utf-8")
    heads = {tuple(cell.strip() for cell in line.strip("|").split("|")) for line in page.splitlines() if "|" in line}
    made = [tuple(table.columns) for tables in TABLES.values() for table in tables]
    made += [COLUMNS, ("World Size", "Avg Time (s)", "Throughput (records/sec)")]
    for columns in made:
        assert any(set(columns) <= {re.sub(r",? (ours|theirs)$", "", cell) for cell in head} for head in heads), columns
