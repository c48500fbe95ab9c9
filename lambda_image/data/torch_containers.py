"""The two files that `torch.save` has written: where their pickle lies, and where the raw bytes of the storages.

* `ZipContainer`, since PyTorch 1.6: an uncompressed zip. `data.pkl` says what there is, `data/<key>` are the storages.
* `LegacyContainer`, before that: five pickles in a row (a magic number, a version, the machine, what there is, the
  storages' keys), then each storage as its number of elements (int64) and its bytes, always little-endian.
"""

import struct
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

from lambda_image.data.byte_source import ByteSource, SourceFile, TruncatedError
from lambda_image.data.inert_pickle import FETCH_AGAIN, ArchiveError, Interpreter, ProgramError, shown

MAX_PICKLE_BYTES = 32 << 20  # the published checkpoint's is 134 KiB; arrays of numpy beside it lie in the pickle
MAX_KEY = 100  # characters of a storage's key; PyTorch's are numbers
LOCAL_HEADER_BYTES = 30  # of a zip entry, before its name and extra field
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_VERSION = 1001
PICKLE_START = b"\x80"  # of protocol 2 and later
TAR_MAGIC = slice(257, 262), b"ustar"
SAVE_AGAIN = "load it in PyTorch and save it again with torch.save"

Makers = Mapping[str, Callable[..., object]]


class Container(ABC):
    """A file that holds a pickle and storages. Its pickle is run by `load`, during which `claim` is called."""

    byteorder = "<"

    @abstractmethod
    def load(self, makers: Makers, persistent: Callable[[object], object]) -> object:
        """Runs the pickle. `makers` stand for the callables that it names, `persistent` for its storages."""

    @abstractmethod
    def claim(self, key: str, elements: int, itemsize: int) -> None:
        """Says that the pickle speaks of a storage of this size; raises ArchiveError if it is another one."""

    @abstractmethod
    def storage(self, key: str, offset: int, size: int) -> memoryview:
        """Returns `size` bytes of a storage, from the byte `offset` on."""


def open_container(source: ByteSource) -> Container:
    start = source.peek(TAR_MAGIC[0].stop)
    if start.startswith(PICKLE_START):
        return LegacyContainer(source)
    if start[TAR_MAGIC[0]] == TAR_MAGIC[1]:
        raise ArchiveError(f"it has the format of PyTorch before 0.1.10, which is not read here: {SAVE_AGAIN}")
    return ZipContainer(source)


class ZipContainer(Container):
    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self._starts: dict[str, int] = {}  # of entries' data, once their local headers have been read
        self._checked: dict[str, tuple[int, int]] = {}  # how far entries have been read from their start, and checksums
        try:
            with zipfile.ZipFile(SourceFile(source)) as archive:
                self._entries = {entry.filename: entry for entry in archive.infolist()}
        except (zipfile.BadZipFile, struct.error, ValueError, NotImplementedError, TruncatedError) as error:
            raise ArchiveError(f"it is cut off, or torch.save has not written it: {FETCH_AGAIN}") from error
        root = next((name for name in self._entries if name.count("/") == 1 and name.endswith("/data.pkl")), None)
        if root is None:
            if any(name.endswith("/archive_format") for name in self._entries):
                raise ProgramError("it is a program of torch.export (.pt2), which is never loaded")
            raise ArchiveError(f"it is a zip without a data.pkl, so torch.save has not written it: {FETCH_AGAIN}")
        self._folder = root.removesuffix("data.pkl")
        if self._folder + "constants.pkl" in self._entries:
            raise ProgramError("it is a TorchScript program: save the state dict of its module with torch.save")
        order = bytes(self._entry_bytes("byteorder")) if self._folder + "byteorder" in self._entries else b"little"
        if order not in (b"little", b"big"):
            raise ArchiveError(f"it has the unknown byte order {order[:20]!r}: {FETCH_AGAIN}")
        self.byteorder = "<" if order == b"little" else ">"

    def load(self, makers: Makers, persistent: Callable[[object], object]) -> object:
        size = self._entries[self._folder + "data.pkl"].file_size
        if size > MAX_PICKLE_BYTES:
            raise ArchiveError(f"data.pkl has {size:,} bytes; at most {MAX_PICKLE_BYTES:,} can be read")
        return Interpreter(bytes(self._entry_bytes("data.pkl")), 0, makers, persistent).run()

    def claim(self, key: str, elements: int, itemsize: int) -> None:
        entry = self._entries.get(f"{self._folder}data/{key}")
        if entry is None:
            raise ArchiveError(f"data/{shown(key)} is missing in it: {FETCH_AGAIN}")
        if elements * itemsize != entry.file_size:
            size = f"data/{shown(key)} has {entry.file_size:,} bytes"
            raise ArchiveError(f"{size}, which is not what its tensors need: {FETCH_AGAIN}")

    def storage(self, key: str, offset: int, size: int) -> memoryview:
        return self._entry_bytes(f"data/{key}", offset, size)

    def _entry_bytes(self, name: str, offset: int = 0, size: int | None = None) -> memoryview:
        """`size` bytes of the entry from `offset`, or all of it."""
        entry = self._entries.get(self._folder + name)
        if entry is None:
            raise ArchiveError(f"{shown(name)} is missing in it: {FETCH_AGAIN}")
        if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
            raise ArchiveError(f"{shown(name)} is compressed or encrypted: write the file again with torch.save")
        size = entry.file_size if size is None else size
        try:
            if name not in self._starts:
                header = self._source.read(entry.header_offset, LOCAL_HEADER_BYTES)
                skip = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
                self._starts[name] = entry.header_offset + LOCAL_HEADER_BYTES + skip
            data = self._source.read(self._starts[name] + offset, size)
        except TruncatedError as error:
            raise ArchiveError(f"{shown(name)} is cut off, as {error}: {FETCH_AGAIN}") from error
        self._verify(name, entry, offset, data)
        return data

    def _verify(self, name: str, entry: zipfile.ZipInfo, offset: int, data: memoryview) -> None:
        """Holds an entry's checksum against its bytes once the last of them is read, if they are read in order."""
        done, checksum = self._checked.get(name, (0, 0)) if offset else (0, 0)
        if offset != done or not entry.CRC:  # PyTorch writes zero where it was told to compute none
            return
        self._checked[name] = done, checksum = done + len(data), zlib.crc32(data, checksum)
        if done == entry.file_size and checksum != entry.CRC:
            raise ArchiveError(f"{shown(name)} is damaged, as its checksum shows: {FETCH_AGAIN}")


class LegacyContainer(Container):
    def __init__(self, source: ByteSource) -> None:
        assert source.size is not None
        self._source = source
        self._size = source.size
        self._claimed: dict[str, tuple[int, int]] = {}  # elements and bytes of each
        self._starts: dict[str, int] = {}

    def load(self, makers: Makers, persistent: Callable[[object], object]) -> object:
        # Nothing says where the pickles end, except they themselves.
        data = bytes(self._source.read(0, min(self._size, MAX_PICKLE_BYTES)))
        magic, end = self._run(Interpreter(data))
        if magic != LEGACY_MAGIC:
            raise ArchiveError("it is a pickle that torch.save has not written: " + SAVE_AGAIN)
        version, end = self._run(Interpreter(data, end))
        if version != LEGACY_VERSION:
            raise ArchiveError("it has an unknown version of the format of PyTorch before 1.6: " + SAVE_AGAIN)
        _, end = self._run(Interpreter(data, end))  # sizes of C's types there, of which none is used
        root, end = self._run(Interpreter(data, end, makers, persistent))
        keys, end = self._run(Interpreter(data, end))
        self._locate(keys, end)
        return root

    def claim(self, key: str, elements: int, itemsize: int) -> None:
        if self._claimed.setdefault(key, (elements, elements * itemsize)) != (elements, elements * itemsize):
            raise ArchiveError(f"its storage {shown(key)} has two sizes: {FETCH_AGAIN}")

    def storage(self, key: str, offset: int, size: int) -> memoryview:
        return self._source.read(self._starts[key] + offset, size)

    def _run(self, interpreter: Interpreter) -> tuple[object, int]:
        try:
            return interpreter.run(), interpreter.end
        except ArchiveError as error:
            if MAX_PICKLE_BYTES <= interpreter.end < self._size:
                raise ArchiveError(
                    f"its pickle has more than the {MAX_PICKLE_BYTES:,} bytes that can be read"
                ) from error
            raise

    def _locate(self, keys: object, position: int) -> None:
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            raise ArchiveError(f"its list of storages is malformed: {FETCH_AGAIN}")
        for key in keys:
            if key not in self._claimed:
                raise ArchiveError(f"its storage {shown(key)} has a type that is not read here: {SAVE_AGAIN}")
            elements, size = self._claimed[key]
            if position + 8 + size > self._size:
                raise ArchiveError(f"it is cut off within the storage {shown(key)}: fetch it again")
            told = int.from_bytes(self._source.read(position, 8), "little")
            if told != elements:
                raise ArchiveError(
                    f"its storage {shown(key)} has {told:,} elements, which is not what its tensors need: {FETCH_AGAIN}"
                )
            self._starts[key] = position + 8
            position += 8 + size
        if missing := self._claimed.keys() - self._starts.keys():
            raise ArchiveError(f"its storage {shown(min(missing))} is missing: {FETCH_AGAIN}")
