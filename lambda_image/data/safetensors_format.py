"""Our format of a partition: `magnitudes` and `redshifts` (if any), columns of the user and `images`, in this order.

Images come last so that inference can begin while they arrive. The safetensors library orders tensors by element size,
then by name, which would put images first, and it reads whole files only. So the small header is written and read here,
and tests hold both to the library.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lambda_image.data.byte_source import ByteSource, TruncatedError
from lambda_image.data.file_content import Column, FormatError, widen_bfloat16
from lambda_image.json_text import parse_json
from lambda_image.partition_names import printable

MAX_HEADER_BYTES = 1 << 20  # ours have about 200, and 100 for each column; more is not a header of a few tensors
MAX_DIMENSIONS = 8  # of a column; images have four
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


def is_safetensors(source: ByteSource) -> bool:
    """Whether the first bytes are those of a safetensors file."""
    start = source.peek(9)
    return len(start) == 9 and start[8:] == b"{" and int.from_bytes(start[:8], "little") <= MAX_HEADER_BYTES


def safetensors_columns(source: ByteSource) -> dict[str, Column]:
    """All tensors, whatever they are called, in the order in which they lie."""
    length = int.from_bytes(source.peek(8), "little")
    if not is_safetensors(source):
        raise FormatError("it is neither a PyTorch archive (.pt) nor safetensors, one of which is needed")
    text = source.peek(8 + length)[8:]
    if len(text) < length:
        raise TruncatedError(f"it ends within its header, at byte {8 + len(text):,}")
    try:
        header = parse_json(text)
        entries: dict[str, tuple[str, tuple[int, ...], tuple[int, ...]]] = {
            name: (str(entry["dtype"]), _sizes(entry["shape"]), _sizes(entry["data_offsets"]))
            for name, entry in header.items()
            if name != "__metadata__"
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FormatError(f"its safetensors header is malformed ({_fault(error)}): fetch or write it again") from error
    begin = end = 8 + length
    entries = dict(sorted(entries.items(), key=lambda entry: entry[1][2]))
    for name, (dtype, shape, offsets) in entries.items():
        name = printable(name[:100])
        if dtype not in SAFETENSORS_DTYPES:
            raise FormatError(f"{name} are {dtype[:20]}; {', '.join(SAFETENSORS_DTYPES)} can be read")
        size = math.prod(shape) * _stored_dtype(dtype).itemsize
        if offsets != (end - begin, end - begin + size):
            place = f"{name} of shape {list(shape)} cannot lie at bytes {list(offsets)} of the data"
            raise FormatError(f"{place}: fetch or write the file again")
        end += size
    if source.size != end:
        raise FormatError(f"it should have {end:,} bytes and has {source.size:,}: fetch it again")

    def column(dtype_name: str, shape: tuple[int, ...], offset: int) -> Column:
        dtype = _stored_dtype(dtype_name)
        row_bytes = math.prod(shape[1:]) * dtype.itemsize

        def read(start: int, stop: int) -> np.ndarray:
            raw = source.read(begin + offset + start * row_bytes, (stop - start) * row_bytes)
            stored = np.frombuffer(raw, dtype.newbyteorder("<")).reshape(stop - start, *shape[1:])
            return widen_bfloat16(stored) if dtype_name == "BF16" else stored

        return Column(SAFETENSORS_DTYPES[dtype_name], shape, read)

    return {name: column(dtype, shape, offsets[0]) for name, (dtype, shape, offsets) in entries.items()}


def _fault(error: Exception) -> str:
    said = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
    return printable(said[:100])


def _stored_dtype(name: str) -> np.dtype:
    return np.dtype("uint16" if name == "BF16" else SAFETENSORS_DTYPES[name])


def _sizes(values: Any) -> tuple[int, ...]:
    if len(values) > MAX_DIMENSIONS:  # their product could take minutes
        raise ValueError(f"{len(values):,} sizes")
    return tuple(map(_size, values))


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
