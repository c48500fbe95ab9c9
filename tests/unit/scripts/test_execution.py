from pathlib import Path

import pytest

from lambda_image.errors import UsageError
from scripts.execution import partition_files, where


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
    with pytest.raises(UsageError, match="holds no datasets"):
        partition_files(tmp_path)


def test_what_does_not_exist_is_said_not_to(tmp_path: Path):
    with pytest.raises(UsageError, match=r"nowhere\.pt does not exist"):
        partition_files(tmp_path / "nowhere.pt")


def test_a_dataset_is_split_by_rows_and_a_folder_by_file(tmp_path: Path):
    dataset = tmp_path / "all.pt"
    dataset.touch()
    assert where(dataset, [dataset], "data") == {"data_path": "data/all.pt"}
    assert where(tmp_path, [dataset], "data") == where(None, [dataset], "data") == {"data_prefix": "data"}
