"""Sweeps of real runs, which are interrupted and go on where they stopped."""

import json
import random
import signal
import subprocess
import sys
from pathlib import Path

import pandas
import pytest

from scripts.cli import main
from scripts.report.baseline import read_baseline
from scripts.sweep.beside import infer_beside, local_results

FLAGS = ["--world-size", "1,2", "--batch-size", "16", "--rows", "60", "--repeats", "2"]
RUNS = 4
LONGEST_S = 60.0  # a sweep of this size takes about 10


def begun(out: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "scripts", "sweep", *FLAGS, "--out", str(out)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def ended_runs(out: Path) -> dict[str, str]:
    """The IDs of the runs that have ended, by their configurations."""
    files = (out / "runs").glob("*.json")
    return {file.stem: json.loads(file.read_text())["summary"]["run_id"] for file in files}


def check(out: Path, before: dict[str, str]) -> None:
    """The plan is done, and nothing was measured twice."""
    runs = ended_runs(out)
    assert len(set(runs.values())) == len(runs) == RUNS
    assert before.items() <= runs.items()
    table = pandas.read_csv(out / "runs.csv")
    assert table["status"].tolist() == ["succeeded"] * RUNS
    assert table["samples"].tolist() == [60] * RUNS
    assert sorted(pandas.read_parquet(out / "ranks.parquet")["rank"]) == [0, 0, 0, 0, 1, 1]


@pytest.mark.timeout(4 * LONGEST_S)
def test_a_sweep_goes_on_after_ctrl_c_and_its_report_shows_all_runs(tmp_path: Path):
    out = tmp_path / "sweep"
    first = begun(out)
    assert first.stdout is not None
    line = first.stdout.readline()
    assert line.startswith("   1 of 4  1 x 16, 60 galaxies, repeat 1: "), line
    first.send_signal(signal.SIGINT)
    told, _ = first.communicate(timeout=LONGEST_S)
    assert first.returncode == 130, told
    before = ended_runs(out)
    assert 1 <= len(before) < RUNS
    second = begun(out)
    told, _ = second.communicate(timeout=LONGEST_S)
    assert second.returncode == 0, told
    assert told.startswith(f"{len(before)} run")
    check(out, before)
    assert main(["report", str(out), "--no-files"]) == 0
    page = (out / "report.html").read_text()
    assert "4 runs of 4 succeeded" in page
    assert "Speedup over one rank" in page


@pytest.mark.timeout(2 * LONGEST_S)
def test_one_process_beside_a_sweep_infers_the_documents_galaxies(tmp_path: Path):
    said: list[str] = []
    infer_beside(tmp_path, [64, 1024, 64], said.append)
    assert said == ["this machine alone, batches of 64: done", "this machine alone, batches of 1,024: done"]
    found = [read_baseline(file) for file in local_results(tmp_path)]
    assert [(one.batch_size, one.samples) for one in found] == [(64, 1253), (1024, 1253)]
    assert all(one.seconds > 0 for one in found)


@pytest.mark.slow
@pytest.mark.timeout(15 * LONGEST_S)
def test_ten_kills_at_random_moments_cost_no_run(tmp_path: Path):
    moments = random.Random(0)
    out, before = tmp_path / "sweep", dict[str, str]()
    for _ in range(10):
        process = begun(out)
        try:
            process.communicate(timeout=moments.uniform(0.2, 6.0))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate(timeout=LONGEST_S)
        after = ended_runs(out)
        assert before.items() <= after.items()
        before = after
    last = begun(out)
    told, _ = last.communicate(timeout=LONGEST_S)
    assert last.returncode == 0, told
    check(out, before)
