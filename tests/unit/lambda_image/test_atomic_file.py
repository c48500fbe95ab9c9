import os
from pathlib import Path

import pytest

from lambda_image.atomic_file import atomic_file


def test_the_file_appears_when_the_block_ends(tmp_path: Path):
    path = tmp_path / "new" / "file"
    with atomic_file(path) as partial:
        partial.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert [path] == list(path.parent.iterdir())


def test_a_failure_leaves_what_was_there(tmp_path: Path):
    path = tmp_path / "file"
    path.write_text("old")

    def fail_half_way() -> None:
        with atomic_file(path) as partial:
            partial.write_text("ne")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        fail_half_way()
    assert path.read_text() == "old"
    assert [path] == list(tmp_path.iterdir())


def test_the_file_may_be_read_by_whom_the_umask_lets(tmp_path: Path):
    path = tmp_path / "file"
    before = os.umask(0o022)
    try:
        with atomic_file(path) as partial:
            partial.unlink()
            os.close(os.open(partial, os.O_CREAT | os.O_WRONLY, 0o600))  # as a writer does that is careful
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o644
