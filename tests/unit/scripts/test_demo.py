from pathlib import Path

import pytest

from scripts.cli import main


@pytest.mark.parametrize("size", [0, -1, 10**9])
def test_a_batch_size_is_checked_before_anything_starts(size: int, tmp_path: Path, capsys):
    assert main(["demo", "--batch-size", str(size), "--out", str(tmp_path / "out")]) == 1
    told = capsys.readouterr()
    assert f"--batch-size is {size}" in told.err
    assert not told.out
    assert not list(tmp_path.iterdir())
