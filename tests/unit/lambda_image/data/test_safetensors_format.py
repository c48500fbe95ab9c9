"""Files of our own making, and headers that do not fit their data. test_columns.py and test_partition.py have more."""

import json
from pathlib import Path

import numpy as np
import pytest

from lambda_image.data.byte_source import MemorySource, TruncatedError
from lambda_image.data.file_content import FormatError
from lambda_image.data.safetensors_format import MAX_HEADER_BYTES, safetensors_columns, write_safetensors

SIZES = {"magnitudes": 40, "images": 80}


def file(header: object, data: int = 120) -> MemorySource:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return MemorySource(len(text).to_bytes(8, "little") + text + bytes(data))


def header(**changes: object) -> dict[str, object]:
    magnitudes: dict[str, object] = {"dtype": "F32", "shape": [2, 5], "data_offsets": [0, 40]}
    images: dict[str, object] = {"dtype": "F32", "shape": [2, 10], "data_offsets": [40, 120]}
    return {"magnitudes": magnitudes | changes, "images": images, "__metadata__": {"format": "pt"}}


def test_columns_come_in_the_order_of_their_bytes() -> None:
    given = header()
    columns = safetensors_columns(file({name: given[name] for name in reversed(given)}))
    assert list(columns) == ["magnitudes", "images"]
    assert columns["images"].shape == (2, 10)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (header(dtype="F8"), "magnitudes are F8; F16, BF16"),
        (header(shape=[2, 6]), r"magnitudes of shape \[2, 6\] cannot lie at bytes \[0, 40\]"),
        (header(data_offsets=[4, 44]), "cannot lie at"),
        (header(shape=[2, True]), "header is malformed .True is not a size"),
        (header(shape=[-2, 5]), "-2 is not a size"),
        (header(shape=5), "header is malformed"),
        ([], "header is malformed|neither a PyTorch archive"),
        (b"{" * 200_000, "header is malformed"),
        ({"images": header()["images"]}, r"images of shape \[2, 10\] cannot lie at bytes \[40, 120\]"),
        ({}, "it should have 10 bytes and has 130"),
    ],
)
def test_a_header_that_does_not_fit_is_refused_by_name(content: object, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        safetensors_columns(file(content))


def test_a_file_of_another_length_than_its_header_says_is_refused() -> None:
    with pytest.raises(FormatError, match=r"it should have \d+ bytes and has \d+"):
        safetensors_columns(file(header(), data=121))
    with pytest.raises(TruncatedError, match="within its header"):
        safetensors_columns(MemorySource((1000).to_bytes(8, "little") + b"{"))
    with pytest.raises(FormatError, match="neither"):
        safetensors_columns(MemorySource((MAX_HEADER_BYTES + 1).to_bytes(8, "little") + b"{"))


def test_data_are_aligned_and_lie_as_they_were_given(tmp_path: Path) -> None:
    arrays = {"magnitudes": np.arange(10, dtype=np.float32).reshape(2, 5), "images": np.ones((2, 3), np.int8)}
    write_safetensors(tmp_path / "file", arrays)
    content = (tmp_path / "file").read_bytes()
    assert int.from_bytes(content[:8], "little") % 8 == 0
    assert content.endswith(b"".join(array.tobytes() for array in arrays.values()))
