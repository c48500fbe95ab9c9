from pathlib import Path

import pytest

from lambda_image.errors import InvalidEvent, UsageError
from scripts.sweep.folder import SweepFolder
from tests.unit.scripts.sweep.measured import sweep

RUNS = sweep()
PLAN = [run.configuration for run in RUNS]


def test_what_has_ended_is_not_left(tmp_path: Path):
    folder = SweepFolder(tmp_path / "sweep")
    assert folder.begin(PLAN) == PLAN
    folder.keep(RUNS[1])
    folder.keep(RUNS[6])
    again = SweepFolder(tmp_path / "sweep")
    assert again.begin(PLAN) == [one for one in PLAN if one not in (PLAN[1], PLAN[6])]
    assert list(again.runs()) == [RUNS[1], RUNS[6]]


def test_the_preset_is_kept(tmp_path: Path):
    folder = SweepFolder(tmp_path)
    folder.begin(PLAN, "worlds")
    assert (folder.preset(), folder.plan()) == ("worlds", PLAN)


def test_half_a_file_of_a_killed_process_is_no_run(tmp_path: Path):
    folder = SweepFolder(tmp_path / "sweep")
    folder.begin(PLAN)
    (folder.path / "runs" / f"{PLAN[0].key}.99.partial").write_text('{"configu')
    assert folder.begin(PLAN) == PLAN
    assert list(folder.runs()) == []


def test_another_sweep_is_not_mixed_with(tmp_path: Path):
    SweepFolder(tmp_path / "sweep").begin(PLAN)
    with pytest.raises(UsageError, match="a sweep with other flags"):
        SweepFolder(tmp_path / "sweep").begin(PLAN[1:])
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").touch()
    with pytest.raises(UsageError, match="not a sweep"):
        SweepFolder(tmp_path / "other").begin(PLAN)


def test_damage_is_named(tmp_path: Path):
    folder = SweepFolder(tmp_path)
    with pytest.raises(InvalidEvent, match=r"holds no sweep\.json"):
        folder.plan()
    folder.begin(PLAN)
    (tmp_path / "runs" / f"{PLAN[0].key}.json").write_text("{}")
    with pytest.raises(InvalidEvent, match="is damaged: remove it"):
        list(folder.runs())
    (tmp_path / "sweep.json").write_text("[]")
    with pytest.raises(InvalidEvent, match="is damaged: remove the folder"):
        folder.plan()
