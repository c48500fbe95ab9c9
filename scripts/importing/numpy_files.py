"""Arrays of NumPy, alone (.npy) or several in a zip (.npz). They are read by rows, and never unpickled."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy_format

from lambda_image.data.file_content import Column
from lambda_image.errors import PartitionMalformed
from scripts.importing.contents import NUMBERS, Array, Contents, dtype_name, fields_of, first_line

MAX_MEMBERS = 10_000
SKIPPED_BYTES = 1 << 20  # at a time


def open_npy(path: Path) -> Contents:
    """Opens an array. A structured one is a table.

    Raises:
        PartitionMalformed: it cannot be read. The message names it.
    """
    found = Contents(str(path), "NumPy", {})
    _add(found, "", path.stem, path, lambda: path.open("rb"))
    return found


def open_npz(path: Path) -> Contents:
    """Opens an archive of arrays, compressed or not.

    Raises:
        PartitionMalformed: it cannot be read. The message names it.
    """
    found = Contents(str(path), "NumPy", {})
    try:
        archive = zipfile.ZipFile(path)
        members = [name for name in archive.namelist() if name.endswith(".npy")]
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise PartitionMalformed(f"{path} cannot be read as .npz: {first_line(error)}", object=str(path)) from error
    for member in members[:MAX_MEMBERS]:
        name = member.removesuffix(".npy")
        _add(found, f"{name}.", name, path, _opener(archive, member))
    return found


def _opener(archive: zipfile.ZipFile, member: str) -> Callable[[], IO[bytes]]:
    return lambda: archive.open(member)


def _add(found: Contents, prefix: str, name: str, path: Path, opened: Callable[[], IO[bytes]]) -> None:
    try:
        stored = _StoredArray(path, name, opened)
    except (ValueError, OSError, zipfile.BadZipFile, EOFError, SyntaxError) as error:
        raise PartitionMalformed(f"{path}: {name} cannot be read: {first_line(error)}", object=str(path)) from error
    if stored.dtype.hasobject:
        found.arrays[name] = Column("objects, which only pickle could read", stored.shape, stored.rows)
    elif stored.dtype.names:
        found.arrays.update(fields_of(prefix.rstrip("."), stored.dtype, stored.shape[0], stored.rows))
    elif stored.shape:
        found.arrays[name] = Column(dtype_name(stored.dtype), stored.shape, stored.rows)


class _StoredArray:
    """An array behind its header.

    Rows of a file are read where they lie. Those of an archive are read in order, and going back opens it again.
    """

    def __init__(self, path: Path, name: str, opened: Callable[[], IO[bytes]]) -> None:
        self._path, self._name, self._open = path, name, opened
        self._file = opened()
        version = npy_format.read_magic(self._file)
        header: Any = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
        self.shape, self._fortran, self.dtype = header(self._file)
        self._position = self._start = self._file.tell()
        self._whole: Array | None = None

    def rows(self, start: int, stop: int) -> Array:
        if self.dtype.hasobject:
            raise PartitionMalformed(f"{self._path}: {self._name} holds objects", object=str(self._path))
        if self._fortran:  # whose rows are scattered over the whole file
            return self._native(self._read_whole()[start:stop])
        row_bytes = self.dtype.itemsize * int(np.prod(self.shape[1:], dtype=np.int64))
        data = self._bytes(self._start + start * row_bytes, (stop - start) * row_bytes)
        return self._native(np.frombuffer(data, self.dtype).reshape(stop - start, *self.shape[1:]))

    def _native(self, values: Array) -> Array:
        if self.dtype.kind == "U":
            return np.char.encode(values, "utf-8")
        return values if self.dtype.kind not in NUMBERS else values.astype(self.dtype.newbyteorder("="), copy=False)

    def _read_whole(self) -> Array:
        if self._whole is None:
            count = int(np.prod(self.shape, dtype=np.int64))
            data = self._bytes(self._start, count * self.dtype.itemsize)
            self._whole = np.frombuffer(data, self.dtype).reshape(self.shape, order="F")
        return self._whole

    def _go_to(self, offset: int) -> None:
        if offset == self._position:
            return
        if not isinstance(self._file, zipfile.ZipExtFile):
            self._file.seek(offset)
            return
        # Python 3.12 and 3.13 jump to a wrong place where several members of a zip are read in turns (CPython issue
        # 127847), and leave out the checksum.
        if offset < self._position:
            self._file.close()
            self._file, self._position = self._open(), 0
        while skipped := self._file.read(min(offset - self._position, SKIPPED_BYTES)):
            self._position += len(skipped)

    def _bytes(self, offset: int, size: int) -> bytes:
        try:
            self._go_to(offset)
            data = self._file.read(size)
        except (OSError, zipfile.BadZipFile, EOFError, ValueError) as error:
            raise PartitionMalformed(
                f"{self._path}: {self._name} is damaged: {first_line(error)}", object=str(self._path)
            ) from error
        self._position = offset + len(data)
        if len(data) < size:
            raise PartitionMalformed(f"{self._path}: {self._name} is cut off", object=str(self._path))
        return data
