"""`cosmicai bench input` as people run it, with few mutations."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.bench.input.measure import InputWorker
from scripts.bench.input.originals import GALAXIES, originals
from scripts.cli import main

ROOT = Path(__file__).resolve().parents[2]


def test_a_few_mutations_lose_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["bench", "input", "--mutations", "40", "--seed", "3", "--json", str(tmp_path / "input.json")]) == 0
    report = json.loads((tmp_path / "input.json").read_text())
    assert (report["benchmark"], report["seed"], report["mutations"]) == ("input", 3, 40)
    assert sum(sum(counts.values()) for counts in report["outcomes"].values()) == 40
    assert report["failed"] == []
    assert report["rows"]["unchanged"] > 0
    assert "changed files, predicted by" in capsys.readouterr().out


def test_a_mutation_is_repeated_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["bench", "input", "--only", "7", "--keep", str(tmp_path)]) == 0
    (kept,) = tmp_path.iterdir()
    assert kept.name.startswith("7-")
    assert f"{kept.name.removeprefix('7-')}: " in capsys.readouterr().out


def test_a_worker_that_has_ended_is_a_failure_and_there_again_for_the_next_file(tmp_path: Path):
    good = originals()[0]
    data = good.write(good.tensors)
    worker = InputWorker(tmp_path)
    try:
        os.kill(worker.pid, signal.SIGKILL)
        answer, table = worker.ask(good.name, data)
        assert "the worker has ended" in answer["traceback"]
        assert table is None
        answer, table = worker.ask(good.name, data)
        assert answer["rows"]["predicted"] == GALAXIES
        assert table is not None
    finally:
        worker.stop()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--mutations", "0"], "--mutations is 0"),
        (["--seed", "-1"], "--seed is -1"),
        (["--only", "-1"], "--only is -1"),
        (["--keep", "/nowhere"], "--keep /nowhere is no folder"),
    ],
)
def test_wrong_flags_are_named(flags: list[str], message: str, capsys: pytest.CaptureFixture[str]):
    assert main(["bench", "input", *flags]) == 2
    assert message in capsys.readouterr().err


def test_files_do_not_differ_from_process_to_process():
    code = (
        "import hashlib; from scripts.bench.input.originals import originals; "
        "from scripts.bench.input.mutations import "
        "mutate; good = originals(); print([hashlib.sha256(o.write(o.tensors)).hexdigest() for o in good], "
        "[hashlib.sha256(mutate(0, n, good).data).hexdigest() for n in range(40)])"
    )
    first, second = (subprocess.check_output([sys.executable, "-c", code], cwd=ROOT) for _ in range(2))
    assert first == second
