import argparse
import json
from pathlib import Path

import pytest

from lambda_image.errors import UsageError
from scripts.report import command
from tests.unit.scripts.catalogue.runs import predictions, run_folder
from tests.unit.scripts.report.facts import run_facts


def run(*arguments: object) -> int:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.run(parser.parse_args([str(argument) for argument in arguments]))


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
