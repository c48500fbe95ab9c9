"""The dataset inside an archive. test_torch_archive.py has the archive, test_columns.py the columns of users."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

from lambda_image.data.byte_source import MemorySource
from lambda_image.data.file_content import FormatError
from lambda_image.data.inert_pickle import ArchiveError
from lambda_image.data.torch_format import ALIGNMENT, torch_columns, write_tensor_dataset

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
    with pytest.raises(ArchiveError, match=r"torch\.nn\.modules\.linear\.Linear, which is not allowed here"):
        torch_columns(saved(torch.nn.Linear(1, 1)))


def test_what_is_written_is_what_pytorch_reads_with_data_where_they_can_be_mapped(tmp_path: Path) -> None:
    path, images = tmp_path / "file.pt", np.arange(6, dtype=np.float32).reshape(2, 3)
    write_tensor_dataset(path, {"images": images, "magnitudes": -images, "my_id": np.arange(2, dtype=np.uint32)})
    with torch.serialization.safe_globals([TensorDataset]):
        dataset = torch.load(path)
    torch.testing.assert_close(dataset.tensors, (torch.from_numpy(images), torch.from_numpy(-images)))
    assert dataset.columns["my_id"].tolist() == [0, 1]
    content = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            name, extra = (int.from_bytes(content[entry.header_offset + at :][:2], "little") for at in (26, 28))
            assert (entry.header_offset + 30 + name + extra) % ALIGNMENT == 0
