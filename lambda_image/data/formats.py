"""The two formats of a partition, told apart by their content, each seen as columns that can be read by rows.

* `.pt`, as published: a pickled `TensorDataset(images, magnitudes[, redshifts])`. The pickle is not executed, see
  inert_pickle; writing one needs no PyTorch either.
* `.safetensors`, ours: `magnitudes`, `redshifts` (optional) and `images`, in this order: images come last so that
  inference can begin while they arrive. The safetensors library orders tensors by element size, then by name, which
  would put images first, and it reads whole files only; so the small header is written and read here, and tests hold
  both to the library.
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
from lambda_image.data.torch_archive import StoredTensor, TorchArchive
from lambda_image.data.torch_containers import LOCAL_HEADER_BYTES

IMAGES_LAST = ("magnitudes", "redshifts", "images")
DATASET_ORDER = ("images", "magnitudes", "redshifts")
TENSOR_DATASET = "torch.utils.data.dataset.TensorDataset"
ZIP_MAGIC = b"PK\x03\x04"
OLD_TORCH_MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
MAX_HEADER_BYTES = 1 << 20  # ours have about 200; more is not a header of three tensors
SAFETENSORS_DTYPES = {"F16": "float16", "F32": "float32", "F64": "float64"}
ALIGNMENT = 64  # of tensors in a .pt, as PyTorch aligns them


class FormatError(Exception):
    """What is wrong with a partition, before its name is known."""


class Column(NamedTuple):
    dtype: str
    shape: tuple[int, ...]
    read: Callable[[int, int], np.ndarray]  # rows [start, stop), as stored


def read_columns(source: ByteSource) -> dict[str, Column]:
    """What the format says there is, read no further than it takes to say so; shapes are not judged here."""
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
    tensors = archive.root.state.get("tensors") if isinstance(archive.root, Inert) else None
    if not isinstance(tensors, tuple) or not all(isinstance(tensor, StoredTensor) for tensor in tensors):
        raise FormatError("it is a PyTorch archive of something else than a TensorDataset")
    if len(tensors) not in (2, 3):
        raise FormatError(f"its TensorDataset has {len(tensors)} tensors; images, magnitudes[, redshifts] are needed")

    def column(tensor: StoredTensor) -> Column:
        # Of a file in memory the whole tensor is taken: that verifies its checksum and mostly copies nothing.
        whole = functools.cache(lambda: archive.array(tensor))

        def read(start: int, stop: int) -> np.ndarray:
            return whole()[start:stop] if source.in_memory else archive.array(tensor, start, stop)

        return Column(tensor.dtype, tensor.shape, read)

    return {name: column(tensor) for name, tensor in zip(DATASET_ORDER, tensors, strict=False)}


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
    if wrong := [name for name in entries if name not in IMAGES_LAST]:
        raise FormatError(f"it holds the tensor {wrong[0][:100]!r}; only {', '.join(IMAGES_LAST)} are known")
    if missing := {"images", "magnitudes"} - entries.keys():
        raise FormatError(f"it holds no {' and no '.join(sorted(missing))}")

    begin = end = 8 + length
    for name, (dtype, shape, offsets) in sorted(entries.items(), key=lambda entry: entry[1][2]):
        if dtype not in SAFETENSORS_DTYPES:
            raise FormatError(f"{name} are {dtype[:20]}; {', '.join(SAFETENSORS_DTYPES)} can be read")
        size = math.prod(shape) * np.dtype(SAFETENSORS_DTYPES[dtype]).itemsize
        if offsets != (end - begin, end - begin + size):
            raise FormatError(f"{name} of shape {list(shape)} cannot lie at bytes {list(offsets)} of the data")
        end += size
    if source.size != end:
        raise FormatError(f"it should have {end:,} bytes and has {source.size:,}")

    def column(dtype_name: str, shape: tuple[int, ...], offset: int) -> Column:
        dtype = np.dtype(SAFETENSORS_DTYPES[dtype_name])
        row_bytes = math.prod(shape[1:]) * dtype.itemsize

        def read(start: int, stop: int) -> np.ndarray:
            raw = source.read(begin + offset + start * row_bytes, (stop - start) * row_bytes)
            return np.frombuffer(raw, dtype.newbyteorder("<")).reshape(stop - start, *shape[1:])

        return Column(dtype.name, shape, read)

    return {name: column(dtype, shape, offsets[0]) for name, (dtype, shape, offsets) in entries.items()}


def _size(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**63:
        raise ValueError(f"{value!r:.30} is not a size")
    return value


def write_safetensors(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes C-contiguous little-endian float32 arrays, images last."""
    header: dict[str, object] = {}
    end = 0
    for name, array in _ordered(arrays, IMAGES_LAST).items():
        header[name] = {"dtype": "F32", "shape": array.shape, "data_offsets": [end, end + array.nbytes]}
        end += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # so that the data that follows is aligned
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in header:
            file.write(arrays[name].data)


def write_tensor_dataset(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes what `torch.save(TensorDataset(images, magnitudes[, redshifts]), path)` would, without PyTorch."""
    stored = list(_ordered(arrays, DATASET_ORDER).values())

    def literal(value: object) -> bytes:  # the opcodes of a plain value, without the pickle's start and stop
        return pickle.dumps(value, protocol=2)[2:-1]

    def name(module: str, attribute: str) -> bytes:
        return pickle.GLOBAL + f"{module}\n{attribute}\n".encode()

    def group(*parts: bytes) -> bytes:
        return pickle.MARK + b"".join(parts) + pickle.TUPLE

    tensors = []
    for key, array in enumerate(stored):
        strides = tuple(stride // array.itemsize for stride in array.strides)
        storage = group(
            literal("storage"), name("torch", "FloatStorage"), literal(str(key)), literal("cpu"), literal(array.size)
        )
        hooks = name("collections", "OrderedDict") + pickle.EMPTY_TUPLE + pickle.REDUCE
        view = storage + pickle.BINPERSID, literal(0), literal(array.shape), literal(strides), literal(False), hooks
        tensors.append(name("torch._utils", "_rebuild_tensor_v2") + group(*view) + pickle.REDUCE)
    state = pickle.EMPTY_DICT + literal("tensors") + group(*tensors) + pickle.SETITEM
    dataset = name(*TENSOR_DATASET.rsplit(".", 1)) + pickle.EMPTY_TUPLE + pickle.NEWOBJ + state + pickle.BUILD

    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        entries: dict[str, bytes | memoryview] = {
            "data.pkl": pickle.PROTO + b"\x02" + dataset + pickle.STOP,
            "byteorder": b"little",
            **{f"data/{key}": array.data.cast("B") for key, array in enumerate(stored)},
            "version": b"3\n",
        }
        for entry, data in entries.items():
            info = zipfile.ZipInfo(f"archive/{entry}")
            # PyTorch aligns data to 64 bytes, by an extra field of the entry's header; so it can be used where it lies.
            start = archive.start_dir + LOCAL_HEADER_BYTES + len(info.filename) + 4
            padding = -start % ALIGNMENT
            info.extra = b"FB" + padding.to_bytes(2, "little") + bytes(padding)
            archive.writestr(info, data)


def _ordered(arrays: Mapping[str, np.ndarray], order: tuple[str, ...]) -> dict[str, np.ndarray]:
    return {name: arrays[name] for name in order if name in arrays}
