"""The one reader of what `torch.save` writes, which never executes what the file's pickle names.

1. The pickle is run by `inert_pickle`, which imports and calls nothing: every class, function and object that it names
   is an inert description, wherever it stands. Who reads the archive says which of them may stand where it looks.
2. The only calls that mean something are those that describe tensors. They are answered by functions of this file,
   which build tuples.
3. A tensor is a description until `array` is called; its shape and strides must fit its storage, its storage the file.

It needs numpy only and reads only the ranges that it needs, so the rows of a dataset can be counted without its bytes.
"""

import math
from collections.abc import Callable
from typing import NamedTuple, TypeGuard

import numpy as np

from lambda_image.data.byte_source import ByteSource
from lambda_image.data.file_content import widen_bfloat16
from lambda_image.data.inert_pickle import FETCH_AGAIN, ArchiveError, Inert, shown
from lambda_image.data.torch_containers import MAX_KEY, SAVE_AGAIN, open_container

MAX_DIMENSIONS = 8
MAX_INTEGER = 2**63 - 1  # of sizes and offsets: larger ones overflow elsewhere
MAX_ELEMENTS = 2**58  # of an axis that an empty tensor has: numpy counts its bytes all the same

# Storage types by their names in the pickle; "bfloat16", which numpy lacks, is widened to float32 when read.
TENSOR_DATASET = "torch.utils.data.dataset.TensorDataset"  # what published partitions are
STORAGE_TYPES = {
    "ComplexDoubleStorage": "complex128",
    "ComplexFloatStorage": "complex64",
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
}
# Those that are not read, and how many bytes an element has: the legacy format must be able to pass over them.
UNTYPED = {"UntypedStorage", "storage.UntypedStorage"}  # counted in bytes; the tensor names the type
UNTYPED_DTYPES = {"uint16", "uint32", "uint64"}  # which have no storage type of their own
UNREAD_TYPES = {
    "QInt8Storage": 1,
    "QUInt8Storage": 1,
    "QInt32Storage": 4,
    "QUInt4x2Storage": 1,
    "QUInt2x4Storage": 1,
    **dict.fromkeys(UNTYPED, 1),
}
PLAIN_TENSORS = {"torch.Tensor", "torch._tensor.Tensor", "torch.nn.parameter.Parameter", "torch.nn.parameter.Buffer"}


class StoredTensor(NamedTuple):
    """Where a tensor lies in the archive. `offset` and `strides` count elements."""

    storage: str
    dtype: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * _stored_type(self.dtype).itemsize


class TorchArchive:
    """What a file holds is `root`: plain containers and values, StoredTensor, and Inert for whatever else there is.

    Raises ArchiveError.
    """

    def __init__(self, source: ByteSource) -> None:
        self._container = open_container(source)
        self.root = self._container.load(MAKERS, self._storage)

    def array(self, tensor: StoredTensor, start: int = 0, stop: int | None = None) -> np.ndarray:
        """The rows [start, stop) of a tensor of at least one dimension, or with neither given any tensor whole.

        A view of the source's memory where that is possible. Where a whole storage is read from a zip, in one piece or
        in pieces that follow one another, its checksum is verified.
        """
        shape = tensor.shape
        if tensor.shape:
            stop = tensor.shape[0] if stop is None else stop
            shape = (stop - start, *tensor.shape[1:])
        storage_type = _stored_type(tensor.dtype)
        stored = storage_type.newbyteorder(self._container.byteorder)  # type: ignore[arg-type]
        if math.prod(shape) == 0:
            if math.prod(length for length in shape if length) > MAX_ELEMENTS:
                raise ArchiveError(f"it holds a tensor of the shape {list(shape)}, which cannot be: {FETCH_AGAIN}")
            return np.empty(shape, np.float32 if tensor.dtype == "bfloat16" else storage_type)
        first = tensor.offset + (start * tensor.strides[0] if tensor.shape else 0)
        count = 1 + sum((length - 1) * stride for length, stride in zip(shape, tensor.strides, strict=True))
        raw = self._container.storage(tensor.storage, first * stored.itemsize, count * stored.itemsize)
        strides = [stride * stored.itemsize for stride in tensor.strides]
        array = np.ndarray(shape, stored, raw, strides=strides)
        if tensor.dtype == "bfloat16":
            return widen_bfloat16(array)
        return array if stored.isnative and array.flags.aligned else array.astype(storage_type)

    def _storage(self, reference: object) -> object:
        match reference:
            case ("module", Inert() as module, _, _):  # a class and its source text, in the legacy format
                return module
            case ("storage", Inert(name=kind), str(key), str(), elements, *view) if len(key) <= MAX_KEY:
                name = kind.removeprefix("torch.").removeprefix("cuda.")
                dtype = STORAGE_TYPES.get(name)
                if dtype is None and name not in UNREAD_TYPES:
                    return Inert(kind)
                if not _is_size(elements):
                    raise ArchiveError(f"it says that the storage {shown(key)} has a size that is none: {FETCH_AGAIN}")
                if view not in ([], [None]):
                    raise ArchiveError(f"its storage {shown(key)} is a part of another one: {SAVE_AGAIN}")
                itemsize = UNREAD_TYPES[name] if dtype is None else _stored_type(dtype).itemsize
                self._container.claim(key, elements, itemsize)
                if name in UNTYPED:
                    return _UntypedStorage(key, elements)
                return Inert(kind) if dtype is None else _Storage(key, dtype, elements)
        raise ArchiveError(f"it holds a reference that is not a tensor's storage: {FETCH_AGAIN}")


class _Storage(NamedTuple):
    key: str
    dtype: str
    elements: int


class _UntypedStorage(NamedTuple):
    key: str
    nbytes: int


def _stored_type(dtype: str) -> np.dtype:
    return np.dtype("uint16" if dtype == "bfloat16" else dtype)


def _tensor(
    storage: object = None,
    offset: object = None,
    shape: object = None,
    strides: object = None,
    _requires_grad: object = None,
    _hooks: object = None,
    lazy: object = None,
    *_: object,
) -> StoredTensor | Inert:
    """Stands for torch._utils._rebuild_tensor_v2; `lazy` says that values are to be negated or conjugated."""
    if isinstance(storage, (Inert, _UntypedStorage)) or lazy:
        return Inert("torch.Tensor")  # of a type that is not read here
    if not (isinstance(storage, _Storage) and _is_size(offset) and _are_sizes(shape) and _are_sizes(strides)):
        raise ArchiveError(f"it holds a tensor whose description is malformed: {FETCH_AGAIN}")
    if len(shape) != len(strides):
        sizes = f"{len(shape)} dimensions and {len(strides)} strides"
        raise ArchiveError(f"it holds a tensor of {sizes}: {FETCH_AGAIN}")
    if (elements := math.prod(shape)) > 0:
        end = offset + sum((length - 1) * stride for length, stride in zip(shape, strides, strict=True)) + 1
        # More elements than the storage has means that strides repeat them: a few bytes could claim terabytes.
        if end > storage.elements or elements > storage.elements:
            raise ArchiveError(
                f"it holds a tensor of shape {list(shape)} and strides {list(strides)} in a storage of "
                f"{storage.elements:,} elements: {FETCH_AGAIN}"
            )
    return StoredTensor(storage.key, storage.dtype, offset, tuple(shape), tuple(strides))


def _untyped_tensor(
    storage: object = None,
    offset: object = None,
    shape: object = None,
    strides: object = None,
    _requires_grad: object = None,
    _hooks: object = None,
    dtype: object = None,
    *_: object,
) -> StoredTensor | Inert:
    """Stands for torch._utils._rebuild_tensor_v3, of types that have no storage type of their own."""
    name = dtype.name.removeprefix("torch.") if isinstance(dtype, Inert) else ""
    if not isinstance(storage, _UntypedStorage) or name not in UNTYPED_DTYPES:
        return Inert("torch.Tensor")
    typed = _Storage(storage.key, name, storage.nbytes // np.dtype(name).itemsize)
    return _tensor(typed, offset, shape, strides)


def _parameter(data: object = None, *_flags: object) -> StoredTensor | Inert:
    if data is None:
        return Inert("torch.nn.parameter.Parameter")
    if not isinstance(data, (StoredTensor, Inert)):
        raise ArchiveError(f"it holds a parameter that is not a tensor: {FETCH_AGAIN}")
    return data


def _typed(function: object = None, kind: object = None, arguments: object = None, *_state: object) -> object:
    """Stands for torch._tensor._rebuild_from_type_v2, which gives a tensor attributes or a class of its own."""
    plain = isinstance(kind, Inert) and kind.name in PLAIN_TENSORS
    if plain and isinstance(function, Inert) and isinstance(arguments, tuple):
        if function.name == "torch._utils._rebuild_tensor_v2" and len(arguments) <= MAX_DIMENSIONS:
            return _tensor(*arguments)
        if function.name == "torch._utils._rebuild_parameter" and len(arguments) <= MAX_DIMENSIONS:
            return _parameter(*arguments)
    return Inert(kind.name if isinstance(kind, Inert) else "torch.Tensor")


def _size(lengths: object = (), *_: object) -> object:
    return lengths if isinstance(lengths, tuple) else Inert("torch.Size")


def _is_size(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 <= value <= MAX_INTEGER


def _are_sizes(value: object) -> TypeGuard[tuple[int, ...]]:
    return isinstance(value, tuple) and len(value) <= MAX_DIMENSIONS and all(_is_size(item) for item in value)


MAKERS: dict[str, Callable[..., object]] = {
    "torch._utils._rebuild_tensor": _tensor,  # before PyTorch 0.4
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _untyped_tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch.nn.parameter.Parameter": _parameter,  # before PyTorch 1.0
    "torch._tensor._rebuild_from_type_v2": _typed,
    "torch.Size": _size,
}
