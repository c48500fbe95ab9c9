from pathlib import Path

import pytest

from scripts.cli import main


def test_a_file_that_exists_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "x.pt").write_bytes(b"years of work")
    assert main(["sample", str(tmp_path / "x.pt"), "--count", "1"]) == 2
    assert "x.pt exists" in capsys.readouterr().err
    assert (tmp_path / "x.pt").read_bytes() == b"years of work"


def test_a_folder_is_not_made_for_a_mistyped_path(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["sample", str(tmp_path / "mistyped" / "x.pt"), "--count", "1"]) == 2
    assert "in a folder that does not exist" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_single_galaxy_is_no_plural(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["sample", str(tmp_path / "x.pt"), "--count", "1"]) == 0
    assert "1 galaxy in" in capsys.readouterr().out
