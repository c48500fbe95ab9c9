from pathlib import Path

import pytest

from lambda_image.errors import InvalidEvent
from scripts.cli import main
from scripts.demo import partition_files


def test_partitions_are_found_however_their_names_are_spelt(tmp_path: Path):
    for name in ("10.pt", "2.SAFETENSORS", "1.Pth", "notes.txt", ".DS_Store"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "3.pt").mkdir()
    files, ignored = partition_files(tmp_path)
    assert [file.name for file in files] == ["1.Pth", "2.SAFETENSORS", "10.pt"]
    assert ignored == 3


def test_one_dataset_is_itself(tmp_path: Path):
    (tmp_path / "galaxies").write_bytes(b"")
    assert partition_files(tmp_path / "galaxies") == ([tmp_path / "galaxies"], 0)


def test_a_folder_without_partitions_is_refused(tmp_path: Path):
    (tmp_path / "3.pt").mkdir()
    with pytest.raises(InvalidEvent, match="neither a dataset nor a folder"):
        partition_files(tmp_path)


@pytest.mark.parametrize("size", [0, -1, 10**9])
def test_a_batch_size_is_checked_before_anything_starts(size: int, tmp_path: Path, capsys):
    assert main(["demo", "--batch-size", str(size), "--out", str(tmp_path / "out")]) == 1
    told = capsys.readouterr()
    assert f"--batch-size is {size}" in told.err
    assert not told.out
    assert not list(tmp_path.iterdir())
