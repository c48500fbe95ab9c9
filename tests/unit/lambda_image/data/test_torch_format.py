"""The dataset inside an archive. test_torch_archive.py has the archive, test_columns.py the columns of users."""

import gzip
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import Subset, TensorDataset

from lambda_image.data.byte_source import MemorySource
from lambda_image.data.file_content import FormatError
from lambda_image.data.inert_pickle import ArchiveError
from lambda_image.data.partition import count_rows, open_partition, read_partition
from lambda_image.data.torch_format import ALIGNMENT, torch_columns, write_tensor_dataset
from lambda_image.errors import PartitionMalformed
from tests.unit.lambda_image.data.galaxy_files import GALAXIES

ONES = torch.ones(2, 3)


def saved(value: object) -> MemorySource:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return MemorySource(buffer.getvalue())


def test_tensors_are_named_by_their_places() -> None:
    columns = torch_columns(saved(TensorDataset(ONES, 2 * ONES, ONES[:, 0])))
    assert list(columns) == ["images", "magnitudes", "redshifts"]
    np.testing.assert_array_equal(columns["magnitudes"].read(1, 2), [[2, 2, 2]])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"images": ONES}, "something else than the TensorDataset that is needed"),
        ([ONES, ONES], "something else than the TensorDataset that is needed"),
    ],
)
def test_what_is_no_dataset_of_galaxies_is_refused(value: object, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        torch_columns(saved(value))


def test_another_class_is_named_and_nothing_of_it_is_executed() -> None:
    with pytest.raises(ArchiveError, match=r"it names pathlib\.\S+, which is not allowed here"):
        torch_columns(saved(Path("/")))
    with pytest.raises(FormatError, match="holds the weights of a network"):
        torch_columns(saved(torch.nn.Linear(1, 1)))


def test_what_is_written_is_what_pytorch_reads_with_data_where_they_can_be_mapped(tmp_path: Path) -> None:
    path, images = tmp_path / "file.pt", np.arange(6, dtype=np.float32).reshape(2, 3)
    write_tensor_dataset(path, {"images": images, "magnitudes": -images, "my_id": np.arange(2, dtype=np.uint32)})
    with torch.serialization.safe_globals([TensorDataset]):
        dataset = torch.load(path)
    assert len(dataset.tensors) == 2
    assert all(map(torch.equal, dataset.tensors, (torch.from_numpy(images), torch.from_numpy(-images))))
    assert dataset.columns["my_id"].tolist() == [0, 1]
    content = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            name, extra = (int.from_bytes(content[entry.header_offset + at :][:2], "little") for at in (26, 28))
            assert (entry.header_offset + 30 + name + extra) % ALIGNMENT == 0


# --- as partitions


def test_pytorch_reads_what_we_write(written):
    for options in ({"weights_only": False}, {"weights_only": False, "mmap": True}):
        dataset = torch.load(written["pt"], **options)
        assert type(dataset) is TensorDataset
        assert [tensor.shape for tensor in dataset.tensors] == [(12, 5, 32, 32), (12, 5), (12,)]
        assert all((tensor.numpy() == array).all() for tensor, array in zip(dataset.tensors, GALAXIES, strict=True))
        assert all(tensor.data_ptr() % 64 == 0 for tensor in dataset.tensors)


def test_reads_the_published_partition(shared, tmp_path):
    path = tmp_path / "published.pt"
    path.write_bytes(gzip.decompress((shared / "golden" / "published_format_partition.pt.gz").read_bytes()))
    partition = read_partition(path)
    rng = np.random.Generator(np.random.PCG64(20260122))  # golden/weights.py
    images = rng.gamma(1.5, 0.6, size=(32, 5, 32, 32)).astype(np.float32)
    magnitudes = np.array([19.0, 17.5, 16.8, 16.4, 16.2]) + 0.8 * rng.standard_normal((32, 5))
    redshifts = rng.uniform(0, 0.4, 32).astype(np.float32)
    assert (partition.images == images).all()
    assert (partition.magnitudes == magnitudes.astype(np.float32)).all()
    assert (partition.redshifts == redshifts).all()
    assert count_rows(path) == 32


def test_other_pickles_are_refused():
    buffer = io.BytesIO()
    torch.save(Subset(TensorDataset(torch.ones(3, 5)), [0]), buffer)
    with pytest.raises(
        PartitionMalformed,
        match="it is a Subset of PyTorch and no TensorDataset: `cosmicai import FILE --bands u,g,r,i,z",
    ):
        read_partition(buffer.getvalue())
    buffer = io.BytesIO()
    torch.save({"images": torch.ones(3, 5)}, buffer)
    with pytest.raises(PartitionMalformed, match="something else than the TensorDataset"):
        read_partition(buffer.getvalue())
    empty = TensorDataset(torch.ones(1))
    empty.tensors = ()
    buffer = io.BytesIO()
    torch.save(empty, buffer)
    with pytest.raises(PartitionMalformed, match="has no tensors"):
        read_partition(buffer.getvalue())


def test_damaged_pixels_are_found_by_the_checksum(written):
    data = bytearray(written["pt"].read_bytes())
    data[len(data) // 2] ^= 1
    for wrap in (bytes, io.BytesIO):
        with pytest.raises(PartitionMalformed, match="data/0 is damaged"):
            read_partition(wrap(data))


@pytest.mark.parametrize("batch_size", [1, 5, 12])
def test_damaged_pixels_are_found_where_a_run_reads_them_in_batches(written, batch_size):
    data = bytearray(written["pt"].read_bytes())
    assert sum(map(len, open_partition(io.BytesIO(data)).images(batch_size))) == 12
    data[len(data) // 2] ^= 1
    stream = open_partition(io.BytesIO(data))
    with pytest.raises(PartitionMalformed, match=r"data/0 is damaged.*fetch it again"):
        list(stream.images(batch_size))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_file_of_pytorch_before_1_6_is_read(protocol):
    buffer = io.BytesIO()
    dataset = TensorDataset(*map(torch.from_numpy, GALAXIES))
    torch.save(dataset, buffer, pickle_protocol=protocol, _use_new_zipfile_serialization=False)
    for wrap in (bytes, io.BytesIO):
        partition = read_partition(wrap(buffer.getvalue()), rows=(2, 9))
        for array, expected in zip(
            (partition.images, partition.magnitudes, partition.redshifts), GALAXIES, strict=True
        ):
            assert (array == expected[2:9]).all()
