import json
import re
from functools import partial
from pathlib import Path

import pytest

from lambda_image.cost import BillingTerms, usd_of
from lambda_image.errors import InvalidEvent, UsageError
from scripts import cost
from scripts.billing.sources import stated
from scripts.cost import LOCAL_USD_PER_HOUR, local_usd
from scripts.sweep.folder import SweepFolder
from tests.unit.scripts.billing.test_sources import LOG, folder
from tests.unit.scripts.flags import run_command
from tests.unit.scripts.sweep.measured import sweep

ROOT = Path(__file__).resolve().parents[3]
DOCUMENTS = (ROOT / "docs" / "documents.md").read_text()
LAMBDA_MB = 128  # of the functions in the comparison with a local machine
STATED = ("--requests", 4, "--seconds", 10, "--memory-gb", 2)


run = partial(run_command, cost)


def table(text: str, heading: str) -> list[list[str]]:
    """The rows of the first table below a heading."""
    lines = text.split(heading, 1)[1].lstrip("\n").split("\n#")[0].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return rows[2:]


def compute(requests: int, seconds: float, memory_gb: float) -> float:
    """What the documents count of a run: the compute time of its functions."""
    lines = stated(requests, seconds, memory_gb).bill(BillingTerms())
    return next(line.usd for line in lines if line.part == "ranks working")


def test_the_documents_costs_of_a_run_are_reproduced_to_the_digits_that_they_state():
    rows = table(DOCUMENTS, "## What a run costs")
    theirs = {(int(row[1]), float(row[2]), float(row[3])): row[4] for row in rows}
    assert theirs == {
        (517, 6.55, 2.8): "0.16",
        (259, 11.8, 4.0): "0.20",
        (173, 17.6, 5.9): "0.30",
        (130, 25.0, 7.0): "0.38",
    }
    for row in rows:
        stated_as = (int(row[1]), float(row[2]), float(row[3]))
        assert f"{compute(*stated_as):.2f}" == row[4]
        assert f"{compute(*stated_as):.4f}" == row[5]
        assert f"{usd_of(stated(*stated_as).bill(BillingTerms(log_kb=cost.LOG_KB))):.4f}" == row[6]


def test_the_comparison_with_a_local_machine_is_reproduced_to_the_digits_that_it_states():
    rows = table(DOCUMENTS, "## Beside a local machine")
    assert len(rows) == 17
    baseline = {batch: float(seconds) for batch, seconds, _ in table(DOCUMENTS, "### The local machine")}
    for row in rows:
        world, local_s, run_s = int(row[0]), baseline[row[1]], float(row[4])
        distributed, local = compute(world, run_s, LAMBDA_MB / 1024), local_usd(local_s)
        assert [f"{local_s:.2f}", f"{local:.6f}", f"{distributed:.6f}"] == [row[3], *row[7:9]]
        assert abs(float(row[5].rstrip("x")) - local_s / run_s) < 0.011  # of rounded times
        assert abs(float(row[6].rstrip("%")) - 100 * local_s / run_s / world) < 1.1
        assert abs(float(row[9].rstrip("%")) - 100 * (1 - distributed / local)) < 0.06


def test_the_table_here_is_that_of_the_document(shared: Path):
    text = next(text for file in (shared / "seeds").iterdir() if "Cost Decrease" in (text := file.read_text()))
    lines = text.split("Performance Comparison: Local vs Distributed", 1)[1].split("```")[1].strip().splitlines()
    found = [re.split(r"\s+", line.strip()) for line in lines[1:]]
    mine = table(DOCUMENTS, "## Beside a local machine")
    assert [row[:5] + row[5:10] for row in mine] == found


def test_the_local_machine_costs_what_the_document_says():
    rows = table(DOCUMENTS, "### The local machine")
    assert len(rows) == 8
    assert [f"{local_usd(float(seconds)):.6f}" for _, seconds, _ in rows] == [usd for *_, usd in rows]


def test_a_month_of_a_thousand_local_runs_is_that_of_the_documents():
    assert [f"{1000 * local_usd(seconds):.2f}" for seconds in (112.786112, 60.774210, 36.254240, 7.209417)] == [
        "11.63",
        "6.27",
        "3.74",
        "0.74",
    ]
    assert LOCAL_USD_PER_HOUR == 0.3712


def test_all_that_flags_ask_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    flags = ("--runs-per-month", 10, "--what-if", "memory=1024", "--local-seconds", 100, "--by", "rank")
    assert run(*STATED, *flags, "--express", "--json", tmp_path / "f.json") == 0
    report, out = json.loads((tmp_path / "f.json").read_bytes()), capsys.readouterr().out
    assert report["usd"] == pytest.approx(sum(line["usd"] for line in report["lines"]))
    assert report["prices"] == {"region": "us-east-1", "date": "2026-01"}
    assert report["month"]["usd"] * 12 == pytest.approx(report["year"]["usd"])
    assert [case["case"] for case in report["what_if"]] == ["as it was", "memory=1024"]
    assert report["what_if"][0]["usd"] == report["usd"]
    assert report["what_if"][1]["slowest_rank_s"] == pytest.approx(20.0)
    assert len(report["by_rank"]) == 4
    assert report["local"]["usd"] == pytest.approx(100 / 3600 * 0.3712)
    for words in ("Express duration", "waiting in the gather", "USD a month", "memory=1024", "a local machine at"):
        assert words in out


def test_the_output_in_the_document_is_what_is_printed(capsys: pytest.CaptureFixture[str]):
    block = (ROOT / "docs" / "costs.md").read_text().split("```\n")[1].splitlines()
    assert run(*block[0].split()[3:]) == 0
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == block[1:]


def test_the_results_of_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder(tmp_path)
    assert run(tmp_path, "--by", "partition", "--wall-seconds", 7) == 0
    assert "d/0.pt" in capsys.readouterr().out


def test_a_sweep(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    kept, runs = SweepFolder(tmp_path / "sweep"), sweep()
    kept.begin([one.configuration for one in runs])
    with pytest.raises(InvalidEvent, match="has no run that succeeded"):
        run(kept.path)
    for one in runs:
        kept.keep(one)
    assert run(kept.path, "--json", tmp_path / "f.json") == 0
    report = json.loads((tmp_path / "f.json").read_bytes())
    assert [row["world_size"] for row in report["rows"]] == [1, 2, 4]
    assert "least" in capsys.readouterr().out
    assert run(kept.path, "--by", "partition") == 0
    for flags, said in (
        (("--by", "rank"), "--by rank is of one run"),
        (("--what-if", "memory=1024"), "--what-if is of one run"),
        (("--runs-per-month", 3), "--runs-per-month is of one run"),
    ):
        with pytest.raises(UsageError, match=said):
            run(kept.path, *flags)


def test_a_log_without_a_wall_time_says_that_the_server_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "log.csv").write_text(LOG)
    assert run("--log", tmp_path / "log.csv") == 0
    assert "--wall-seconds tells it" in " ".join(capsys.readouterr().out.split())


def test_express_is_refused_to_nobody_and_long_ranks_are_told_of(capsys: pytest.CaptureFixture[str]):
    assert run("--requests", 1, "--seconds", 301, "--memory-gb", 1, "--express") == 0
    assert "Express executions end after 300 s" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ((), "needs one run"),
        ((*STATED, "--log", "x"), "needs one run"),
        (("--requests", 4), "--requests needs --seconds and --memory-gb"),
        (("--requests", 0, "--seconds", 1, "--memory-gb", 1), "--requests is 0"),
        ((*STATED, "--seconds", -1), "--seconds is -1; allowed: a number above 0"),
        (("--log", "x", "--seconds", 1), "--seconds needs --requests"),
        ((*STATED, "--init-seconds", 11), "--init-seconds is 11; allowed: at most --seconds"),
        ((*STATED, "--storage-mb", 100), "--storage-mb is 100; allowed: 512 to 10,240"),
        ((*STATED, "--log-kb", "nan"), "--log-kb is nan"),
        ((*STATED, "--data-gb", -1), "--data-gb is -1"),
        ((*STATED, "--by", "partition"), "--by partition needs the results of a run"),
        ((*STATED, "--runs-per-month", 0), "--runs-per-month is 0"),
        ((*STATED, "--json", "/nowhere/x.json"), "--json /nowhere/x.json would be in a folder"),
        (("nothing-of-that-name",), "does not exist: name the folder of a run"),
    ],
)
def test_wrong_flags(flags: tuple[object, ...], said: str):
    with pytest.raises(UsageError, match=said):
        run(*flags)


def test_predictions_alone_have_no_times(tmp_path: Path):
    (tmp_path / "p.parquet").write_bytes(b"")
    with pytest.raises(UsageError, match="holds predictions alone"):
        run(tmp_path / "p.parquet")
