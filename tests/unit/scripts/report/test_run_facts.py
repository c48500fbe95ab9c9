import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from lambda_image.errors import InvalidEvent
from scripts.catalogue.run_source import ResultFolderSource
from scripts.report import run_facts as module
from scripts.report.run_facts import read_run
from tests.unit.scripts.catalogue.runs import predictions, run_folder
from tests.unit.scripts.report.facts import run_facts


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    out = run_folder(tmp_path / "run", predictions(6))
    facts = run_facts()
    (out / "summary.json").write_text(json.dumps(facts.summary))
    (out / "combined_data.json").write_text(json.dumps(facts.records[::-1]))
    return out


def test_what_a_run_left(folder: Path):
    facts = read_run(ResultFolderSource(folder))
    assert [record["rank"] for record in facts.records] == [0, 1]
    assert np.isnan(facts.redshift).tolist() == [False, False, True] * 2
    assert [(one.source, one.row, one.quality) for one in facts.flagged] == [("data/1.pt", 2, 4), ("data/1.pt", 5, 4)]
    assert facts.missing == []


def test_predictions_that_are_not_there_are_named(folder: Path):
    (folder / "predictions.parquet").unlink()
    of_ranks = read_run(ResultFolderSource(folder))
    assert (len(of_ranks.redshift), of_ranks.missing) == (6, [])  # those of the ranks are as good
    shutil.rmtree(folder / "predictions")
    facts = read_run(ResultFolderSource(folder))
    assert len(facts.redshift) == 0
    assert "holds no predictions" in facts.missing[0]


@pytest.mark.parametrize("name", ["summary.json", "combined_data.json"])
def test_a_run_that_has_not_ended(folder: Path, name: str):
    (folder / name).unlink()
    with pytest.raises(InvalidEvent, match=f"holds no {name}"):
        read_run(ResultFolderSource(folder))


def test_results_of_a_version_that_wrote_less_are_refused(folder: Path):
    summary = json.loads((folder / "summary.json").read_text())
    del summary["without_truth"]
    (folder / "summary.json").write_text(json.dumps(summary))
    with pytest.raises(InvalidEvent, match=r"summary\.json of .* lacks without_truth, as of another version"):
        read_run(ResultFolderSource(folder))


def test_damaged_predictions_are_named(folder: Path):
    (folder / "predictions.parquet").write_bytes(b"no")
    with pytest.raises(InvalidEvent, match=r"predictions\.parquet of .* cannot be read"):
        read_run(ResultFolderSource(folder))


def test_only_the_first_flagged_galaxies_are_listed(folder: Path):
    (folder / "predictions.parquet").write_bytes(predictions(3 * module.FLAGGED_ROWS + 3).to_parquet())
    assert len(read_run(ResultFolderSource(folder)).flagged) == module.FLAGGED_ROWS
