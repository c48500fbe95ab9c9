"""Bytes by position, wherever they lie: a file, memory, an object read by ranges, or a stream that only runs forward.

Readers of formats ask for `read(offset, size)` and get exactly that many bytes or TruncatedError; they need not know
what is behind it. A file is mapped, so reading it copies nothing.
"""

import io
import mmap
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, cast

SKIP_BYTES = 1 << 20  # a stream is skipped, and grows into memory, in pieces of this size

Readable = str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes] | io.RawIOBase


class TruncatedError(Exception):
    """Fewer bytes are there than were asked for."""


class ByteSource:
    """`size` is None where only the end will tell. The memory that `read` gives is writable where it can be."""

    size: int | None
    in_memory = False  # whether reading is free, so that there is no gain in reading less

    def read(self, offset: int, size: int) -> memoryview:
        raise NotImplementedError

    def peek(self, size: int) -> bytes:
        """The first `size` bytes, or all if there are fewer. On a stream only before anything else was read."""
        assert self.size is not None
        return bytes(self.read(0, min(size, self.size)))

    def _check(self, offset: int, size: int) -> None:
        if offset < 0 or size < 0:  # only a damaged file points there
            raise TruncatedError(f"bytes {offset:,} to {offset + size:,} cannot be")
        if self.size is not None and offset + size > self.size:
            raise TruncatedError(f"it ends at byte {self.size:,} of at least {offset + size:,}")


class MemorySource(ByteSource):
    in_memory = True

    def __init__(self, data: bytes | bytearray | memoryview | mmap.mmap) -> None:
        self._view = memoryview(data).cast("B")
        self.size = len(self._view)

    def read(self, offset: int, size: int) -> memoryview:
        self._check(offset, size)
        return self._view[offset : offset + size]


class SeekableSource(ByteSource):
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.size = file.seek(0, io.SEEK_END)
        self._head = b""  # kept, so that looking twice does not go back: behind the file may be a stream

    def peek(self, size: int) -> bytes:
        more = min(size, self.size or 0) - len(self._head)
        if more > 0:
            self._head += self.read(len(self._head), more)
        return self._head[:size]

    def read(self, offset: int, size: int) -> memoryview:
        self._check(offset, size)
        self._file.seek(offset)
        view = memoryview(bytearray(size))
        readinto = cast(Callable[[memoryview], int | None] | None, getattr(self._file, "readinto", None))
        done = 0
        while done < size:
            if readinto is not None:
                count = readinto(view[done:]) or 0
            else:
                piece = self._file.read(size - done)
                count = len(piece)
                view[done : done + count] = piece
            if count == 0:
                raise TruncatedError(f"it ends at byte {offset + done:,} of at least {offset + size:,}")
            done += count
        return view


class StreamSource(ByteSource):
    """Reads must come in the order of their offsets; what lies between them is read and dropped."""

    size = None

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._peeked = b""
        self._position = 0

    def peek(self, size: int) -> bytes:
        assert self._position == 0
        while len(self._peeked) < size and (piece := self._file.read(size - len(self._peeked))):
            self._peeked += piece
        return self._peeked[:size]

    def read(self, offset: int, size: int) -> memoryview:
        if offset < self._position:
            raise ValueError(f"byte {offset} of a stream has passed: it stands at byte {self._position}")
        while self._position < offset:
            self._take(min(offset - self._position, SKIP_BYTES), offset + size)
        data = bytearray()  # grows with what arrives: the size asked for may be a lie in the file's header
        while len(data) < size:
            data += self._take(min(size - len(data), SKIP_BYTES), offset + size)
        return memoryview(data)

    def to_memory(self) -> MemorySource:
        """Everything, read to the end."""
        assert self._position == 0
        return MemorySource(self._peeked + self._file.read())

    def _take(self, size: int, wanted: int) -> bytes:
        if self._peeked:
            piece, self._peeked = self._peeked[:size], self._peeked[size:]
        else:
            piece = self._file.read(size)
        if not piece:
            raise TruncatedError(f"it ends at byte {self._position:,} of at least {wanted:,}")
        self._position += len(piece)
        return piece


def byte_source(readable: Readable) -> ByteSource:
    """A source on a path (mapped), bytes, or a binary file object (seekable or not).

    Raises OSError if a path cannot be opened. A mapping ends with the last array that views it.
    """
    if isinstance(readable, (str, os.PathLike)):
        with Path(readable).open("rb") as on_disk:
            if os.fstat(on_disk.fileno()).st_size == 0:
                return MemorySource(b"")  # the system refuses to map nothing
            # A private, writable mapping: the file is never changed, and PyTorch takes such arrays without complaint.
            return MemorySource(mmap.mmap(on_disk.fileno(), 0, access=mmap.ACCESS_COPY))
    if isinstance(readable, (bytes, bytearray, memoryview)):
        return MemorySource(readable)
    file = cast(IO[bytes], readable)
    return SeekableSource(file) if file.seekable() else StreamSource(file)


class SeekableReader(io.RawIOBase):
    """Base of read-only file objects of a known `size`; a subclass reads at `_position` and moves it."""

    size: int
    _position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise ValueError(f"seek to byte {base + offset}, before the start")
        self._position = base + offset
        return self._position


class SourceFile(SeekableReader):
    """A source as a file object, for libraries that want one. The source's size must be known."""

    def __init__(self, source: ByteSource) -> None:
        assert source.size is not None
        self._source, self.size = source, source.size

    def readinto(self, buffer: Any) -> int:
        size = max(0, min(len(buffer), self.size - self._position))
        buffer[:size] = self._source.read(self._position, size)
        self._position += size
        return size
