"""The two formats of a partition, told apart by their content, each seen as columns that can be read by rows.

* `.pt`, as published: a pickled `TensorDataset(images, magnitudes[, redshifts])`. The pickle is not executed, see
  inert_pickle; writing one needs no PyTorch either. Columns of the user are further tensors of the dataset, which
  have no names, or they are in the dictionary that the dataset has as its attribute `columns`. The attribute is what
  is written here, since programs that read the published files expect three tensors.
* `.safetensors`, ours: `magnitudes`, `redshifts` (optional), columns of the user and `images`, in this order: images
  come last so that inference can begin while they arrive. The safetensors library orders tensors by element size, then
  by name, which would put images first, and it reads whole files only; so the small header is written and read here,
  and tests hold both to the library.
"""

import functools
import json
import math
import pickle
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lambda_image.data.byte_source import ByteSource, TruncatedError
from lambda_image.data.inert_pickle import Inert, not_allowed
from lambda_image.data.torch_archive import (
    STORAGE_TYPES,
    UNTYPED_DTYPES,
    StoredTensor,
    TorchArchive,
    widen_bfloat16,
)
from lambda_image.data.torch_containers import LOCAL_HEADER_BYTES

DATASET_ORDER = ("images", "magnitudes", "redshifts")
TENSOR_DATASET = "torch.utils.data.dataset.TensorDataset"
ZIP_MAGIC = b"PK\x03\x04"
OLD_TORCH_MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
MAX_HEADER_BYTES = 1 << 20  # ours have about 200, and 100 for each column; more is not a header of a few tensors
SAFETENSORS_DTYPES = {
    "F16": "float16",
    "BF16": "bfloat16",
    "F32": "float32",
    "F64": "float64",
    "I8": "int8",
    "I16": "int16",
    "I32": "int32",
    "I64": "int64",
    "U8": "uint8",
    "U16": "uint16",
    "U32": "uint32",
    "U64": "uint64",
    "BOOL": "bool",
}
SAFETENSORS_NAMES = {dtype: name for name, dtype in SAFETENSORS_DTYPES.items()}
STORAGE_NAMES = {dtype: name for name, dtype in STORAGE_TYPES.items() if name != "UntypedStorage"}
ALIGNMENT = 64  # of tensors in a .pt, as PyTorch aligns them


class FormatError(Exception):
    """What is wrong with a partition, before its name is known."""


class Column(NamedTuple):
    dtype: str
    shape: tuple[int, ...]
    read: Callable[[int, int], np.ndarray]  # rows [start, stop), as stored


def read_columns(source: ByteSource) -> dict[str, Column]:
    """What the format says there is, in the order of the file and read no further than it takes to say so.

    Shapes are not judged here.
    """
    start = source.peek(len(OLD_TORCH_MAGIC))
    if not start:
        raise FormatError("it is empty")
    if start.startswith(ZIP_MAGIC):
        return _torch_columns(source)
    if start == OLD_TORCH_MAGIC:
        raise FormatError("it has the format of PyTorch before 1.6: load it there and save it again with torch.save")
    return _safetensors_columns(source)


def _torch_columns(source: ByteSource) -> dict[str, Column]:
    archive = TorchArchive(source)
    if isinstance(archive.root, Inert) and archive.root.name != TENSOR_DATASET:
        raise not_allowed(archive.root.name, "a TensorDataset(images, magnitudes[, redshifts]) is needed")
    state = archive.root.state if isinstance(archive.root, Inert) else {}
    tensors = state.get("tensors")
    if not isinstance(tensors, tuple) or not all(isinstance(tensor, StoredTensor) for tensor in tensors):
        raise FormatError("it is a PyTorch archive of something else than a TensorDataset")
    if len(tensors) < 2:
        raise FormatError(f"its TensorDataset has {len(tensors)} tensors; images, magnitudes[, redshifts] are needed")
    named = state.get("columns")
    if not isinstance(named, dict) or not all(
        isinstance(name, str) and isinstance(tensor, StoredTensor) for name, tensor in named.items()
    ):
        named = {}  # an attribute of another meaning, which a dataset may have

    def column(tensor: StoredTensor) -> Column:
        # Of a file in memory the whole tensor is taken: that verifies its checksum and mostly copies nothing.
        whole = functools.cache(lambda: archive.array(tensor))

        def read(start: int, stop: int) -> np.ndarray:
            return whole()[start:stop] if source.in_memory else archive.array(tensor, start, stop)

        return Column(tensor.dtype, tensor.shape, read)

    placed = dict(zip([*DATASET_ORDER, *_names_by_place(tensors[3:])], tensors, strict=False))
    if twice := sorted(placed.keys() & named.keys()):
        raise FormatError(f"its column {twice[0]!r} is there twice")
    return {name: column(tensor) for name, tensor in {**placed, **named}.items()}


def _names_by_place(tensors: tuple[StoredTensor, ...]) -> list[str]:
    """Names for the tensors that follow the first three: the only one of int64 is an id."""
    only = sum(tensor.dtype == "int64" for tensor in tensors) == 1
    return [
        "object_id" if only and tensor.dtype == "int64" else f"column_{place}"
        for place, tensor in enumerate(tensors, start=len(DATASET_ORDER) + 1)
    ]


def _safetensors_columns(source: ByteSource) -> dict[str, Column]:
    start = source.peek(9)
    length = int.from_bytes(start[:8], "little")
    if len(start) < 9 or start[8:] != b"{" or length > MAX_HEADER_BYTES:
        raise FormatError("it is neither a PyTorch archive (.pt) nor safetensors")
    text = source.peek(8 + length)[8:]
    if len(text) < length:
        raise TruncatedError(f"it ends within its header, at byte {8 + len(text):,}")
    try:
        header = json.loads(text)
        entries: dict[str, tuple[str, tuple[int, ...], tuple[int, ...]]] = {
            name: (str(entry["dtype"]), tuple(map(_size, entry["shape"])), tuple(map(_size, entry["data_offsets"])))
            for name, entry in header.items()
            if name != "__metadata__"
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise FormatError(f"its safetensors header is malformed: {error!r:.200}") from error
    if missing := {"images", "magnitudes"} - entries.keys():
        raise FormatError(f"it holds no {' and no '.join(sorted(missing))}")

    begin = end = 8 + length
    entries = dict(sorted(entries.items(), key=lambda entry: entry[1][2]))
    for name, (dtype, shape, offsets) in entries.items():
        name = name[:100]
        if dtype not in SAFETENSORS_DTYPES:
            raise FormatError(f"{name} are {dtype[:20]}; {', '.join(SAFETENSORS_DTYPES)} can be read")
        size = math.prod(shape) * _stored_dtype(dtype).itemsize
        if offsets != (end - begin, end - begin + size):
            raise FormatError(f"{name} of shape {list(shape)} cannot lie at bytes {list(offsets)} of the data")
        end += size
    if source.size != end:
        raise FormatError(f"it should have {end:,} bytes and has {source.size:,}")

    def column(dtype_name: str, shape: tuple[int, ...], offset: int) -> Column:
        dtype = _stored_dtype(dtype_name)
        row_bytes = math.prod(shape[1:]) * dtype.itemsize

        def read(start: int, stop: int) -> np.ndarray:
            raw = source.read(begin + offset + start * row_bytes, (stop - start) * row_bytes)
            stored = np.frombuffer(raw, dtype.newbyteorder("<")).reshape(stop - start, *shape[1:])
            return widen_bfloat16(stored) if dtype_name == "BF16" else stored

        return Column(SAFETENSORS_DTYPES[dtype_name], shape, read)

    return {name: column(dtype, shape, offsets[0]) for name, (dtype, shape, offsets) in entries.items()}


def _stored_dtype(name: str) -> np.dtype:
    return np.dtype("uint16" if name == "BF16" else SAFETENSORS_DTYPES[name])


def _size(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**63:
        raise ValueError(f"{value!r:.30} is not a size")
    return value


def write_safetensors(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes C-contiguous little-endian arrays in the given order, in which images should be last."""
    header: dict[str, object] = {}
    end = 0
    for name, array in arrays.items():
        dtype = SAFETENSORS_NAMES[array.dtype.name]
        header[name] = {"dtype": dtype, "shape": array.shape, "data_offsets": [end, end + array.nbytes]}
        end += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # so that the data that follows is aligned
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in header:
            file.write(arrays[name].data)


def write_tensor_dataset(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes what `torch.save(TensorDataset(images, magnitudes[, redshifts]), path)` would, without PyTorch.

    Arrays of other names are put into the dataset's attribute `columns`.
    """
    dataset_names = [name for name in DATASET_ORDER if name in arrays]
    column_names = [name for name in arrays if name not in DATASET_ORDER]
    stored = [arrays[name] for name in (*dataset_names, *column_names)]

    def literal(value: object) -> bytes:  # the opcodes of a plain value, without the pickle's start and stop
        return pickle.dumps(value, protocol=2)[2:-1]

    def name(module: str, attribute: str) -> bytes:
        return pickle.GLOBAL + f"{module}\n{attribute}\n".encode()

    def group(*parts: bytes) -> bytes:
        return pickle.MARK + b"".join(parts) + pickle.TUPLE

    tensors = []
    for key, array in enumerate(stored):
        dtype = array.dtype.name
        untyped = dtype in UNTYPED_DTYPES
        kind = name("torch.storage", "UntypedStorage") if untyped else name("torch", STORAGE_NAMES[dtype])
        size = array.nbytes if untyped else array.size
        storage = group(literal("storage"), kind, literal(str(key)), literal("cpu"), literal(size))
        strides = tuple(stride // array.itemsize for stride in array.strides)
        hooks = name("collections", "OrderedDict") + pickle.EMPTY_TUPLE + pickle.REDUCE
        view = [storage + pickle.BINPERSID, literal(0), literal(array.shape), literal(strides), literal(False), hooks]
        view += [name("torch", dtype)] if untyped else []
        rebuild = name("torch._utils", "_rebuild_tensor_v3" if untyped else "_rebuild_tensor_v2")
        tensors.append(rebuild + group(*view) + pickle.REDUCE)
    count = len(dataset_names)
    state = pickle.EMPTY_DICT + literal("tensors") + group(*tensors[:count]) + pickle.SETITEM
    if column_names:
        pairs = [literal(column) + tensor for column, tensor in zip(column_names, tensors[count:], strict=True)]
        columns = pickle.EMPTY_DICT + pickle.MARK + b"".join(pairs) + pickle.SETITEMS
        state += literal("columns") + columns + pickle.SETITEM
    dataset = name(*TENSOR_DATASET.rsplit(".", 1)) + pickle.EMPTY_TUPLE + pickle.NEWOBJ + state + pickle.BUILD

    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        entries: dict[str, bytes | memoryview] = {
            "data.pkl": pickle.PROTO + b"\x02" + dataset + pickle.STOP,
            "byteorder": b"little",
            **{f"data/{key}": array.reshape(-1).view(np.uint8).data for key, array in enumerate(stored)},
            "version": b"3\n",
        }
        for entry, data in entries.items():
            info = zipfile.ZipInfo(f"archive/{entry}")
            # PyTorch aligns data to 64 bytes, by an extra field of the entry's header; so it can be used where it lies.
            start = archive.start_dir + LOCAL_HEADER_BYTES + len(info.filename) + 4
            padding = -start % ALIGNMENT
            info.extra = b"FB" + padding.to_bytes(2, "little") + bytes(padding)
            archive.writestr(info, data)
