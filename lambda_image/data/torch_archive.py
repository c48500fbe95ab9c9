"""The one reader of PyTorch's zip archives (`torch.save`), which never executes what their pickle names.

An archive is an uncompressed zip: `data.pkl` says what there is, `data/<key>` are the tensors' raw bytes. A pickle is a
program, so this reader gives it almost nothing to call:

1. Its opcodes are checked before any runs: only those that build data, and no memo index beyond the pickle's own length
   (one such opcode of five bytes can make the interpreter allocate 64 GiB).
2. A name resolves only to what is listed here: our own functions that describe tensors, OrderedDict, set, torch.Size,
   storage types as dtype markers, and, for class names that the caller allows, inert objects that hold their state and
   have no behaviour. Nothing is imported. Any other name is refused, and the refusal says which.
3. What a name resolves to is made anew for every archive: a pickle can set attributes, so it must not reach what is
   shared.
4. A tensor is a description until `array` is called; its shape and strides must fit its storage, its storage the file.

It needs numpy only and reads only the ranges that it needs, so the rows of a dataset can be counted without its bytes.
"""

import io
import math
import pickle
import pickletools
import struct
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable, Collection
from typing import Any, ClassVar, NamedTuple, TypeGuard

import numpy as np

from lambda_image.data.byte_source import ByteSource, SourceFile, TruncatedError

MAX_PICKLE_BYTES = 4 << 20  # the published checkpoint's is 134 KiB; checking opcodes takes about a second per MiB
MAX_DIMENSIONS = 8
MAX_INTEGER = 2**63 - 1  # of sizes and offsets: larger ones overflow elsewhere
LOCAL_HEADER_BYTES = 30  # of a zip entry, before its name and extra field

# Storage types by their names in the pickle; "bfloat16", which numpy lacks, is widened to float32 when read.
STORAGE_TYPES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "UntypedStorage": "uint8",  # counted in bytes; its tensor names the type
}
UNTYPED_DTYPES = {"uint16", "uint32", "uint64"}  # which have no storage type of their own
OPCODES = frozenset(
    # What torch.save writes in protocols 2 to 5. Not among them: OBJ, INST, EXT*, huge integers, the text forms.
    """
    PROTO FRAME STOP MARK POP POP_MARK GLOBAL STACK_GLOBAL REDUCE BUILD NEWOBJ BINPERSID NONE NEWTRUE NEWFALSE
    BININT BININT1 BININT2 LONG1 BINFLOAT BINUNICODE SHORT_BINUNICODE BINBYTES SHORT_BINBYTES
    EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST APPEND APPENDS EMPTY_DICT SETITEM SETITEMS
    EMPTY_SET ADDITEMS FROZENSET BINPUT LONG_BINPUT MEMOIZE BINGET LONG_BINGET
    """.split()  # noqa: SIM905
)


class ArchiveError(Exception):
    """The file is no archive of the kind that is read here; the message says what is wrong, not in which file."""


class StoredTensor(NamedTuple):
    """Where a tensor lies in the archive. `offset` and `strides` count elements.

    A tuple, because a pickle may set the attributes of what it builds: a tuple has none that can be set.
    """

    storage: str
    dtype: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class Inert:
    """Stands for an object of the class `name`: it holds the state that was saved and can do nothing."""

    name: ClassVar[str]
    state: dict[str, Any]

    def __new__(cls, *_arguments: object) -> "Inert":
        self = super().__new__(cls)
        self.state = {}
        return self

    def __init__(self, *_arguments: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, dict):
            raise ArchiveError(f"the state of a {self.name} is a {type(state).__name__} and not a dict")
        self.state = state


class TorchArchive:
    """An archive whose pickle may name, beside tensors, the classes in `inert`: full names, or `prefix.*`."""

    def __init__(self, source: ByteSource, inert: Collection[str] = ()) -> None:
        self._source = source
        self._starts: dict[str, int] = {}  # of entries' data, once their local headers have been read
        try:
            with zipfile.ZipFile(SourceFile(source)) as archive:
                self._entries = {entry.filename: entry for entry in archive.infolist()}
        except (zipfile.BadZipFile, struct.error, ValueError, NotImplementedError, TruncatedError) as error:
            raise ArchiveError("not a whole PyTorch archive: cut off, or not written by torch.save") from error
        root = next((name for name in self._entries if name.count("/") == 1 and name.endswith("/data.pkl")), None)
        if root is None:
            raise ArchiveError("not a PyTorch archive: no data.pkl in it")
        self._folder = root.removesuffix("data.pkl")
        order = bytes(self._entry_bytes("byteorder")) if self._folder + "byteorder" in self._entries else b"little"
        self._byteorder = {b"little": "<", b"big": ">"}.get(order)
        if self._byteorder is None:
            raise ArchiveError(f"unknown byte order {order[:20]!r}")
        self.root = self._unpickle(inert)

    def array(self, tensor: StoredTensor, start: int = 0, stop: int | None = None) -> np.ndarray:
        """The rows [start, stop) of a tensor of at least one dimension, or with neither given any tensor whole.

        A view of the source's memory where that is possible. Where a whole storage is read, its checksum is verified.
        """
        shape = tensor.shape
        if tensor.shape:
            stop = tensor.shape[0] if stop is None else stop
            shape = (stop - start, *tensor.shape[1:])
        storage_type = np.dtype("uint16" if tensor.dtype == "bfloat16" else tensor.dtype)
        stored = storage_type.newbyteorder(self._byteorder)  # type: ignore[arg-type]
        if math.prod(shape) == 0:
            return np.empty(shape, np.float32 if tensor.dtype == "bfloat16" else storage_type)
        first = tensor.offset + (start * tensor.strides[0] if tensor.shape else 0)
        count = 1 + sum((length - 1) * stride for length, stride in zip(shape, tensor.strides, strict=True))
        raw = self._entry_bytes(f"data/{tensor.storage}", first * stored.itemsize, count * stored.itemsize)
        strides = [stride * stored.itemsize for stride in tensor.strides]
        array = np.ndarray(shape, stored, raw, strides=strides)
        if tensor.dtype == "bfloat16":
            return widen_bfloat16(array)
        return array if stored.isnative and array.flags.aligned else array.astype(storage_type)

    def _entry_bytes(self, name: str, offset: int = 0, size: int | None = None) -> memoryview:
        """`size` bytes of the entry from `offset`; all of it, and its checksum verified, when that is what is asked."""
        entry = self._entries.get(self._folder + name)
        if entry is None:
            raise ArchiveError(f"{name} is missing")
        if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
            raise ArchiveError(f"{name} is compressed or encrypted: write the file again with torch.save")
        size = entry.file_size if size is None else size
        try:
            if name not in self._starts:
                header = self._source.read(entry.header_offset, LOCAL_HEADER_BYTES)
                skip = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
                self._starts[name] = entry.header_offset + LOCAL_HEADER_BYTES + skip
            data = self._source.read(self._starts[name] + offset, size)
        except TruncatedError as error:
            raise ArchiveError(f"{name} is cut off: {error}") from error
        # PyTorch writes zero where it was told to compute no checksums.
        if size == entry.file_size and entry.CRC and zlib.crc32(data) != entry.CRC:
            raise ArchiveError(f"{name} is damaged: its checksum does not fit")
        return data

    def _unpickle(self, inert: Collection[str]) -> object:
        size = self._entries[self._folder + "data.pkl"].file_size
        if size > MAX_PICKLE_BYTES:
            raise ArchiveError(f"data.pkl has {size:,} bytes; at most {MAX_PICKLE_BYTES:,} are read")
        data = bytes(self._entry_bytes("data.pkl"))
        _check_opcodes(data)
        try:
            return _Unpickler(data, inert, self._storage_bytes).load()
        except ArchiveError:
            raise
        except Exception as error:  # a malformed pickle can make its interpreter raise nearly anything
            raise ArchiveError(f"data.pkl cannot be read: {type(error).__name__}: {error}") from error

    def _storage_bytes(self, key: str) -> int:
        entry = self._entries.get(f"{self._folder}data/{key}")
        if entry is None:
            raise ArchiveError(f"data/{key[:40]} is missing")
        return entry.file_size


def widen_bfloat16(stored: np.ndarray) -> np.ndarray:
    """Float32 of the same shape as the uint16 array: a bfloat16 is the upper half of a float32."""
    return (stored.astype(np.uint32) << 16).view(np.float32)


def _check_opcodes(data: bytes) -> None:
    try:
        for opcode, argument, position in pickletools.genops(data):
            if opcode.name not in OPCODES:
                raise ArchiveError(f"data.pkl holds the opcode {opcode.name} at byte {position}, which no tensor needs")
            if opcode.name == "LONG_BINPUT" and argument is not None and argument > len(data):
                raise ArchiveError(f"data.pkl asks for {argument:,} memo entries at byte {position}")
    except ValueError as error:
        raise ArchiveError(f"data.pkl cannot be read: {error}") from error


class _Storage(NamedTuple):
    key: str
    dtype: str
    elements: int


class _Unpickler(pickle.Unpickler):
    def __init__(self, data: bytes, inert: Collection[str], storage_bytes: Callable[[str], int]) -> None:
        super().__init__(io.BytesIO(data))
        self._inert = inert
        self._storage_bytes = storage_bytes
        # Lambdas and not methods: what a pickle does to them must end with this unpickler.
        self._names: dict[str, object] = {
            "torch._utils._rebuild_tensor_v2": lambda *arguments: _tensor(*arguments),
            "torch._utils._rebuild_tensor_v3": lambda *arguments: _untyped_tensor(*arguments),
            "torch._utils._rebuild_parameter": lambda *arguments: _parameter(*arguments),
            "torch._utils._rebuild_parameter_with_state": lambda *arguments: _parameter(*arguments),
            "torch.Size": tuple,
            "collections.OrderedDict": OrderedDict,
            "builtins.set": set,
            "__builtin__.set": set,  # its name in protocols before 3
        }

    def find_class(self, module: str, name: str) -> Any:
        full = f"{module}.{name}"
        if full not in self._names:
            if (module in ("torch", "torch.storage") and name in STORAGE_TYPES) or (
                module == "torch" and name in UNTYPED_DTYPES
            ):
                self._names[full] = name
            elif any(
                full == allowed or (allowed[-1] == "*" and full.startswith(allowed[:-1])) for allowed in self._inert
            ):
                self._names[full] = type("Inert", (Inert,), {"name": full})
            else:
                raise ArchiveError(f"it names {full[:200]}, which is not allowed here: nothing of it was executed")
        return self._names[full]

    def persistent_load(self, pid: Any) -> _Storage:
        match pid:
            case ("storage", str(kind), str(key), str(), elements) if kind in STORAGE_TYPES:
                dtype = STORAGE_TYPES[kind]
                itemsize = np.dtype("uint16" if dtype == "bfloat16" else dtype).itemsize
                there = self._storage_bytes(key)
                if not _is_size(elements) or elements * itemsize != there:
                    raise ArchiveError(f"data/{key} has {there:,} bytes, which is not what its {kind} needs")
                return _Storage(key, dtype, elements)
        raise ArchiveError("it holds a reference that is not a tensor's storage")


def _tensor(storage: object, offset: object, shape: object, strides: object, *_flags: object) -> StoredTensor:
    """Stands for torch._utils._rebuild_tensor_v2; the flags say what only training needs."""
    if not (isinstance(storage, _Storage) and _is_size(offset) and _are_sizes(shape) and _are_sizes(strides)):
        raise ArchiveError("it holds a tensor whose description is malformed")
    if len(shape) != len(strides) or len(shape) > MAX_DIMENSIONS:
        raise ArchiveError(f"it holds a tensor of {len(shape)} dimensions and {len(strides)} strides")
    if (elements := math.prod(shape)) > 0:
        end = offset + sum((length - 1) * stride for length, stride in zip(shape, strides, strict=True)) + 1
        # More elements than the storage has means that strides repeat them: a few bytes could claim terabytes.
        if end > storage.elements or elements > storage.elements:
            raise ArchiveError(
                f"it holds a tensor of shape {list(shape)} and strides {list(strides)} in a storage of "
                f"{storage.elements:,} elements"
            )
    return StoredTensor(storage.key, storage.dtype, offset, tuple(shape), tuple(strides))


def _untyped_tensor(
    storage: object,
    offset: object,
    shape: object,
    strides: object,
    _grad: object,
    _hooks: object,
    dtype: object,
    *_: object,
) -> StoredTensor:
    """Stands for torch._utils._rebuild_tensor_v3, of types that have no storage type."""
    if not isinstance(storage, _Storage) or not isinstance(dtype, str) or dtype not in UNTYPED_DTYPES:
        raise ArchiveError("it holds a tensor whose description is malformed")
    typed = _Storage(storage.key, dtype, storage.elements // np.dtype(dtype).itemsize)
    return _tensor(typed, offset, shape, strides)


def _parameter(data: object, *_flags: object) -> StoredTensor:
    if not isinstance(data, StoredTensor):
        raise ArchiveError("it holds a parameter that is not a tensor")
    return data


def _is_size(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 <= value <= MAX_INTEGER


def _are_sizes(value: object) -> TypeGuard[tuple[int, ...]]:
    return isinstance(value, tuple) and all(_is_size(item) for item in value)
