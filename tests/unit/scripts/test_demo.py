from pathlib import Path

import pytest

from scripts.cli import main
from scripts.execution import MAX_RANKS


@pytest.mark.parametrize("size", [0, -1, 10**9])
def test_a_batch_size_is_checked_before_anything_starts(size: int, tmp_path: Path, capsys):
    assert main(["demo", "--batch-size", str(size), "--out", str(tmp_path / "out")]) == 2
    told = capsys.readouterr()
    assert f"--batch-size is {size}" in told.err
    assert not told.out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ranks", [0, MAX_RANKS + 1, 20_000])
def test_more_ranks_than_a_machine_has_room_for_are_refused_before_anything_starts(ranks: int, tmp_path: Path, capsys):
    assert main(["demo", "--world-size", str(ranks), "--out", str(tmp_path / "out")]) == 2
    told = capsys.readouterr()
    assert f"--world-size is {ranks}; allowed: a whole number from 1 to {MAX_RANKS}" in told.err
    assert not told.out
    assert not list(tmp_path.iterdir())
