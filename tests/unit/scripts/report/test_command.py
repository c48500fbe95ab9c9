import json
import os
from functools import partial
from pathlib import Path

import pytest

from lambda_image.errors import UsageError
from scripts.report import command
from tests.unit.scripts.catalogue.runs import predictions, run_folder
from tests.unit.scripts.flags import run_command
from tests.unit.scripts.report.facts import run_facts

run = partial(run_command, command)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    out = run_folder(tmp_path / "run", predictions(6))
    facts = run_facts()
    (out / "summary.json").write_text(json.dumps(facts.summary))
    (out / "combined_data.json").write_text(json.dumps(facts.records))
    return out


def test_predictions_alone_have_no_report(folder: Path):
    with pytest.raises(UsageError, match="name the folder of a run"):
        run(folder / "predictions.parquet")


def test_flags_of_several_runs(folder: Path):
    with pytest.raises(UsageError, match="--out is for a sweep or several runs"):
        run(folder, "--out", folder)
    with pytest.raises(UsageError, match="name one for the page by --out"):
        run(folder, folder)


def test_without_a_name_it_is_what_ended_last(tmp_path: Path):
    with pytest.raises(UsageError, match="there is no run or sweep in"):
        command.latest(tmp_path)
    half = ".demo.1234.partial/summary.json"  # which a command has left that was killed
    for age, name in ((30, "demo/summary.json"), (20, "sweep-quick/runs.csv"), (10, "begun/sweep.json"), (5, half)):
        file = tmp_path / name
        file.parent.mkdir()
        file.touch()
        os.utime(file, (1e9 - age, 1e9 - age))
    assert command.latest(tmp_path) == str(tmp_path / "sweep-quick")
    os.utime(tmp_path / "demo" / "summary.json", (1e9, 1e9))
    assert command.latest(tmp_path) == str(tmp_path / "demo")
