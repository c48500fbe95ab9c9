import json
from pathlib import Path

import pytest

from lambda_image.errors import UsageError
from scripts.catalogue.run_source import ResultFolderSource
from scripts.runs.run_json import check_run_json, run_figures, write_run_json

ENDED = {
    "executionArn": "arn:aws:states:us-east-1:1:execution:m:run-1",
    "status": "FAILED",
    "cause": "why",
    "input": "",
}


def test_a_run_is_told_by_its_end_and_its_figures(tmp_path: Path):
    (tmp_path / "summary.json").write_text('{"run_id": "run-1", "rows": 3}')
    (tmp_path / "combined_data.json").write_text('[{"rank": 0}]')
    said: list[str] = []
    write_run_json(tmp_path / "run.json", ENDED, ResultFolderSource(tmp_path), said.append)
    assert json.loads((tmp_path / "run.json").read_text()) == {
        "run_id": "run-1",
        "arn": ENDED["executionArn"],
        "status": "FAILED",
        "cause": "why",
        "results": str(tmp_path),
        "summary": {"run_id": "run-1", "rows": 3},
        "ranks": [{"rank": 0}],
    }
    assert said == [f"figures in {tmp_path / 'run.json'}"]


def test_a_run_without_results_has_no_figures(tmp_path: Path):
    assert run_figures(None) == {}
    assert run_figures(ResultFolderSource(tmp_path)) == {"results": str(tmp_path), "summary": None, "ranks": None}
    write_run_json(None, {}, None, print)


def test_a_file_that_the_results_would_replace_is_refused(tmp_path: Path):
    with pytest.raises(UsageError, match=r"--json .*run.json would be among the results of the run"):
        check_run_json(tmp_path / "out" / "run.json", tmp_path / "out", overwrite=False)
    (tmp_path / "run.json").touch()
    with pytest.raises(UsageError, match="exists"):
        check_run_json(tmp_path / "run.json", tmp_path / "out", overwrite=False)
    check_run_json(tmp_path / "run.json", tmp_path / "out", overwrite=True)
