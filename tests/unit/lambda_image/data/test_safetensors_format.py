"""Files of our own making, and headers that do not fit their data. test_columns.py has more."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from lambda_image.data.byte_source import MemorySource, TruncatedError
from lambda_image.data.file_content import FormatError
from lambda_image.data.partition import ROW_BYTES, open_partition, read_partition
from lambda_image.data.safetensors_format import MAX_HEADER_BYTES, safetensors_columns, write_safetensors
from lambda_image.errors import PartitionMalformed
from tests.unit.lambda_image.data.galaxy_files import GALAXIES, header_only, ours

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


# --- as partitions


def test_the_safetensors_library_reads_what_we_write(written):
    read = safetensors.numpy.load_file(written["safetensors"])
    for name, array in zip(("images", "magnitudes", "redshifts"), GALAXIES, strict=True):
        assert (read[name] == array).all()


def test_images_come_last_so_that_they_can_be_streamed(written):
    data = written["safetensors"].read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    assert sorted(header, key=lambda name: header[name]["data_offsets"]) == ["magnitudes", "redshifts", "images"]
    assert len(data) == pytest.approx(12 * ROW_BYTES, rel=0.01)


def test_an_appended_file_is_refused(written):
    with pytest.raises(PartitionMalformed, match="should have 2"):
        read_partition(written["safetensors"].read_bytes() + b"\0")


def entry(dtype: object = "F32", shape: object = (1, 5), offsets: object = (0, 20)) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


@pytest.mark.parametrize(
    ("magnitudes", "message"),
    [
        (entry(shape=[2**62, 5], offsets=[0, 5 * 2**64]), "malformed"),
        (entry(shape=[2**50, 5], offsets=[0, 5 * 2**52]), "should have|cannot lie"),
        (entry(shape=[-1, 5]), "malformed"),
        (entry(shape=[1.0, 5]), "malformed"),
        (entry(shape="15"), "malformed"),
        (entry(shape=[2**62] * 40_000), "40,000 sizes"),  # whose product takes minutes, and whose text 840 kB
        (entry(shape=[1] * 300_000, offsets=[0, 4]), "300,000 sizes"),
        (entry(offsets=[0] * 300_000), "300,000 sizes"),
        (entry(offsets=[4, 24]), "magnitudes of shape .* cannot lie at bytes"),
        (entry(offsets=[0, 19]), "cannot lie"),
        (entry(offsets=[0]), "cannot lie"),
        (entry(dtype="I8", shape=[4, 5]), "magnitudes are int8"),
        (entry(dtype="F8_E4M3", shape=[4, 5]), "magnitudes are F8_E4M3"),
        (None, "malformed"),
        ([], "malformed"),
    ],
)
def test_malformed_headers_are_refused(magnitudes, message):
    images = entry(shape=[1, 5, 32, 32], offsets=[20, 20 + 4 * 5120])
    data = header_only(magnitudes=magnitudes, images=images) + bytes(20 + 4 * 5120)
    with pytest.raises(PartitionMalformed, match=message):
        read_partition(data)


def test_a_header_cannot_claim_memory_that_is_not_there():
    rows = 2**40
    magnitudes = entry(shape=[rows, 5], offsets=[0, 20 * rows])
    images = entry(shape=[rows, 5, 32, 32], offsets=[20 * rows, 20 * rows + 20480 * rows])
    with pytest.raises(PartitionMalformed, match="it should have"):
        open_partition(io.BytesIO(header_only(magnitudes=magnitudes, images=images) + bytes(1000)))


def test_a_header_of_128_bytes_does_not_look_like_a_pickle():
    images, magnitudes, _ = GALAXIES
    data = ours(images=images, magnitudes=magnitudes)
    length = int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8 : 8 + length]), separators=(",", ":")).encode()
    assert len(header) <= 0x180
    padded = header.ljust(0x180)
    assert len(read_partition(len(padded).to_bytes(8, "little") + padded + data[8 + length :])) == 12
