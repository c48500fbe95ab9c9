import os
from pathlib import Path

import numpy as np
import pytest

from lambda_image.data.dataset import BATCH_ROWS, read_dataset
from lambda_image.data.partition import FileFormat, read_partition, write_partition
from lambda_image.data.safetensors_format import write_safetensors
from lambda_image.errors import PartitionMalformed, PartitionMissing
from lambda_image.partition_list import choose_partitions
from lambda_image.storage import ObjectInfo


def write(path: Path, rows: int, redshifts: bool = True) -> None:
    rng = np.random.default_rng(rows)
    file_format: FileFormat = "safetensors" if path.suffix == ".safetensors" else "pt"
    images = rng.random((rows, 5, 32, 32), np.float32)
    truth = rng.random(rows) if redshifts else None
    write_partition(path, images, rng.random((rows, 5)), truth, file_format=file_format)


@pytest.mark.parametrize("name", ["galaxies.pt", "galaxies.safetensors"])
def test_one_file_is_its_partition(tmp_path: Path, name: str):
    write(tmp_path / name, 3)
    dataset, expected = read_dataset(str(tmp_path / name)), read_partition(tmp_path / name)
    assert len(dataset) == 3
    for array, other in (
        (dataset.images, expected.images),
        (dataset.magnitudes, expected.magnitudes),
        (dataset.redshifts, expected.redshifts),
    ):
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, other)


def test_a_folder_is_its_partitions_in_the_order_of_a_run(tmp_path: Path):
    names = ["10.pt", "2.SAFETENSORS", "1.Pth", "3.safetensors"]
    for rows, name in enumerate(names, start=BATCH_ROWS - 1):  # more than a batch, and just one
        write(tmp_path / name, rows)
    for name in ("notes.txt", "._1.Pth", ".DS_Store"):
        (tmp_path / name).touch()
    (tmp_path / "4.pt").mkdir()
    write(tmp_path / "4.pt" / "5.pt", 1)
    found = [ObjectInfo(path.name + "/" * path.is_dir(), 9, "etag") for path in tmp_path.iterdir()]
    in_a_run = [part.key for part in choose_partitions(found, "", "d/", None).partitions]
    parts = [read_partition(tmp_path / name) for name in in_a_run]
    dataset = read_dataset(tmp_path)
    assert [part.name for part in parts] == [
        str(tmp_path / name) for name in sorted(names, key=lambda n: int(n.split(".")[0]))
    ]
    assert np.array_equal(dataset.images, np.concatenate([part.images for part in parts]))
    np.testing.assert_array_equal(dataset.magnitudes, np.concatenate([part.magnitudes for part in parts]))
    np.testing.assert_array_equal(dataset.redshifts, np.concatenate([part.redshifts for part in parts]))
    assert dataset.name == str(tmp_path)


def test_a_partition_without_galaxies_adds_none(tmp_path: Path):
    write(tmp_path / "1.pt", 2)
    write_safetensors(
        tmp_path / "2.safetensors",
        {"images": np.empty((0, 5, 32, 32), np.float32), "magnitudes": np.empty((0, 5), np.float32)},
    )
    write(tmp_path / "3.pt", 3)
    dataset = read_dataset(tmp_path)
    assert len(dataset) == 5
    assert np.isfinite(dataset.redshifts).all()


def test_redshifts_that_only_some_partitions_have_are_nan_in_the_others(tmp_path: Path):
    write(tmp_path / "1.pt", 2, redshifts=False)
    write(tmp_path / "2.pt", 3)
    assert np.isnan(read_dataset(tmp_path).redshifts).tolist() == [True, True, False, False, False]


def test_redshifts_that_no_partition_has_are_none(tmp_path: Path):
    write(tmp_path / "1.pt", 2, redshifts=False)
    assert read_dataset(tmp_path).redshifts is None


def test_a_folder_of_more_partitions_than_files_may_be_open_is_read(tmp_path: Path):
    import resource

    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    for number in range(60):
        write(tmp_path / f"{number}.safetensors", 1)
    taken = {int(name) for name in os.listdir("/proc/self/fd")}  # by whatever ran before in this process
    limit = next(top for top in range(10, limits[0]) if top - sum(fd < top for fd in taken) >= 10)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limits[1]))
    try:
        dataset = read_dataset(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert len(dataset) == 60


def test_a_folder_without_partitions_and_a_missing_file_are_named(tmp_path: Path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(PartitionMissing, match=rf"{tmp_path} holds no partitions.*\.safetensors"):
        read_dataset(tmp_path)
    with pytest.raises(PartitionMissing, match=r"nowhere\.pt: there is no such file"):
        read_dataset(tmp_path / "nowhere.pt")


def test_a_bad_file_of_a_folder_is_named(tmp_path: Path):
    write(tmp_path / "1.pt", 2)
    (tmp_path / "2.pt").write_bytes(b"nothing")
    with pytest.raises(PartitionMalformed, match=r"2\.pt: "):
        read_dataset(tmp_path)


def test_a_folder_of_galaxies_of_two_sizes_is_refused_by_the_file_that_differs(tmp_path: Path):
    write(tmp_path / "1.pt", 2)
    write_partition(tmp_path / "2.pt", np.zeros((1, 3, 16, 16)), np.zeros((1, 3)))
    with pytest.raises(
        PartitionMalformed, match=r"2\.pt: it has images \[3, 16, 16\] and 3 magnitudes, where 1\.pt has"
    ):
        read_dataset(tmp_path)
