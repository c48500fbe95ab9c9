"""Which format a file has is told by how it begins, and by nothing else."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

from lambda_image.data.byte_source import MemorySource
from lambda_image.data.file_content import FormatError
from lambda_image.data.formats import read_columns
from lambda_image.data.safetensors_format import write_safetensors
from lambda_image.data.torch_format import write_tensor_dataset

ARRAYS = {"magnitudes": np.ones((2, 5), np.float32), "images": np.zeros((2, 5, 32, 32), np.float32)}


@pytest.mark.parametrize("write", [write_safetensors, write_tensor_dataset])
def test_both_formats_are_told_apart_whatever_the_file_is_called(tmp_path: Path, write) -> None:
    write(tmp_path / "file", ARRAYS)
    columns = read_columns(MemorySource((tmp_path / "file").read_bytes()))
    assert columns.keys() == ARRAYS.keys()
    for name, column in columns.items():
        assert (column.dtype, column.shape) == ("float32", ARRAYS[name].shape)
        np.testing.assert_array_equal(column.read(1, 2), ARRAYS[name][1:2])


def test_what_pytorch_before_1_6_wrote_is_read() -> None:
    buffer = io.BytesIO()
    dataset = TensorDataset(*(torch.from_numpy(ARRAYS[name]) for name in ("images", "magnitudes")))
    torch.save(dataset, buffer, _use_new_zipfile_serialization=False)
    columns = read_columns(MemorySource(buffer.getvalue()))
    np.testing.assert_array_equal(columns["magnitudes"].read(0, 2), ARRAYS["magnitudes"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty"),
        (b"\x80\x02\x8a\x0a...", "cut off"),  # as PyTorch before 1.6 began
        (b"\x89HDF\r\n\x1a\n", "neither a PyTorch archive"),
        (b"PK", "neither a PyTorch archive"),
    ],
)
def test_other_contents_are_refused_by_what_they_are(content: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        read_columns(MemorySource(content))


def test_weights_are_told_from_galaxies(tmp_path: Path) -> None:
    write_safetensors(
        tmp_path / "file", {"head.weight": np.ones((2, 5), np.float32), "head.bias": np.ones(2, np.float32)}
    )
    with pytest.raises(FormatError, match="it holds the weights of a network and no galaxies"):
        read_columns(MemorySource((tmp_path / "file").read_bytes()))
