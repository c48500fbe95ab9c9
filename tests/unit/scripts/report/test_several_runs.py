import json
from pathlib import Path

import pytest

from lambda_image.errors import InvalidEvent
from scripts.catalogue.run_source import ResultFolderSource
from scripts.report.several_runs import read_runs
from scripts.sweep.folder import FAILED, SUCCEEDED
from scripts.sweep.tables import medians, run_rows
from tests.unit.scripts.report.facts import run_facts


def folder(path: Path, *, failed: bool = False, **changes: int) -> ResultFolderSource:
    path.mkdir()
    facts = run_facts(2, failed=failed)
    (path / "summary.json").write_text(json.dumps({**facts.summary, **changes}))
    (path / "combined_data.json").write_text(json.dumps(facts.records))
    return ResultFolderSource(path)


def test_alike_runs_are_repeats(tmp_path: Path):
    runs = read_runs([folder(tmp_path / "a"), folder(tmp_path / "b"), folder(tmp_path / "c", failed=True)])
    assert [(run.configuration.repeat, run.status) for run in runs] == [(1, SUCCEEDED), (2, SUCCEEDED), (3, FAILED)]
    assert (runs[0].configuration.world_size, runs[0].configuration.rows) == (2, 40)
    assert runs[2].reason == "rank 1: PartitionMissing"


def test_runs_over_other_files_are_no_repeats(tmp_path: Path):
    runs = read_runs([folder(tmp_path / "a", partitions=1), folder(tmp_path / "b", partitions=8)])
    assert [run.configuration.repeat for run in runs] == [1, 1]
    assert [row["partitions"] for row in medians(run_rows(runs))] == [1, 8]


def test_a_run_that_has_not_ended_is_named(tmp_path: Path):
    (tmp_path / "d").mkdir()
    with pytest.raises(InvalidEvent, match=r"d holds no summary\.json"):
        read_runs([ResultFolderSource(tmp_path / "d")])
