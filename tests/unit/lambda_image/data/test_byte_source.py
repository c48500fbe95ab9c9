import io
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambda_image.data.byte_source import (
    MemorySource,
    SeekableSource,
    SourceFile,
    TruncatedError,
    byte_source,
)

DATA = bytes(range(256)) * 5


class ReadOnlyMethod:
    """A seekable file object without readinto."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)
        self.seek, self.seekable = self._file.seek, self._file.seekable

    def read(self, size: int = -1) -> bytes:
        return self._file.read(min(size, 100))


@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview, io.BytesIO, ReadOnlyMethod])
@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100)), max_size=5), st.integers(0, 50))
def test_reads_forward_from_everything(wrap, skips_and_sizes, peeked):
    source = byte_source(wrap(DATA))
    assert source.peek(peeked) == DATA[:peeked]
    position = 0
    for skip, size in skips_and_sizes:
        position += skip
        assert bytes(source.read(position, size)) == DATA[position : position + size]
        position += size


@pytest.mark.parametrize("wrap", [bytes, io.BytesIO, ReadOnlyMethod])
def test_says_where_the_bytes_end(wrap):
    source = byte_source(wrap(DATA))
    with pytest.raises(TruncatedError, match="1,280 of at least 1,300"):
        source.read(1270, 30)


def test_maps_a_file_without_letting_it_change(tmp_path: Path):
    path = tmp_path / "data"
    path.write_bytes(DATA)
    source = byte_source(path)
    view = source.read(10, 5)
    view[0] = 0xFF
    assert isinstance(source, MemorySource)
    assert source.in_memory
    assert path.read_bytes() == DATA


def test_an_empty_file_is_a_source_of_nothing(tmp_path: Path):
    path = tmp_path / "empty"
    path.touch()
    assert byte_source(path).peek(10) == b""


def test_a_file_object_that_cannot_seek_is_refused():
    read, write = os.pipe()
    os.close(write)
    with os.fdopen(read, "rb") as pipe, pytest.raises(OSError, match="seek"):
        byte_source(pipe)


def test_negative_positions_do_not_wrap_around():
    for source in (byte_source(DATA), byte_source(io.BytesIO(DATA))):
        with pytest.raises(TruncatedError):
            source.read(-5, 3)


def test_looking_twice_at_the_start_does_not_go_back():
    positions = []

    class Recorded(io.BytesIO):
        def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
            if whence == io.SEEK_SET:
                positions.append(offset)
            return super().seek(offset, whence)

    source = SeekableSource(Recorded(DATA))
    assert source.peek(8) == DATA[:8]
    assert source.peek(40) == DATA[:40]
    assert source.peek(9) == DATA[:9]
    assert bytes(source.read(40, 10)) == DATA[40:50]
    assert positions == [0, 8, 40]


@given(st.integers(0, len(DATA)), st.integers(0, 300))
def test_a_source_reads_as_a_file(offset, size):
    file = SourceFile(byte_source(DATA))
    assert file.seek(offset) == file.tell() == offset
    assert file.read(size) == DATA[offset : offset + size]
    assert file.seek(-3, io.SEEK_END) == len(DATA) - 3
    assert file.read() == DATA[-3:]
