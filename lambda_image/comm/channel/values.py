"""What travels: bytes-like values and numpy arrays, as meta (what it is) and flat views (what it holds), uncopied."""

import functools
import json
import math
import re
from collections.abc import Callable

import numpy as np

from lambda_image.comm.channel.frames import HEADER_BYTES, FrameRefused
from lambda_image.json_text import parse_json

Value = bytes | bytearray | memoryview | np.ndarray | np.generic

NO_VALUE = b""  # what an operation without a value sends
SMALL_BYTES = 4096  # an array of so many comes in a bytearray
_MAX_DIMENSIONS = 32  # more no array here has; the shape must fit the frame's meta
# Meta and the header before it take a multiple of so many bytes. Where a payload that is not encrypted followed after
# 32, the kernel would copy it at half its speed (memory.py).
_ALIGNMENT = 64
_FORMS_KEPT = 256  # a rank sends the same few kinds of arrays again and again
_PLAIN_NAME = re.compile(r"[<>|=]?[A-Za-z]\d{0,9}(\[\d{0,4}[A-Za-z]{1,2}\])?")  # as dtype.str has them
_CASTABLE = "?bBhHiIlLqQfd"  # dtypes whose arrays memoryview.cast takes
_PLAIN_KINDS = "?biufcmMSUV"  # dtypes whose items are their bytes; never Python objects


def encode(value: Value) -> tuple[bytes, list[memoryview]]:
    """Meta and flat byte views of a value. A view keeps its buffer alive; an array that is not C-contiguous is copied.

    Raises TypeError for anything but bytes-like values and arrays of plain items: no objects, named fields or masks.
    """
    if not isinstance(value, np.ndarray):
        if not isinstance(value, np.generic):
            return b"", [memoryview(value).cast("B")] if value else []
        value = np.asarray(value)  # a numpy scalar travels as an array without dimensions
    elif type(value) is not np.ndarray and isinstance(value, np.ma.MaskedArray):
        raise TypeError("a masked array cannot be sent, because its mask would be lost: send data and mask")
    meta = _form(value.dtype, value.shape)
    if not value.size:
        return meta, []
    if value.dtype.char in _CASTABLE and value.dtype.isnative and value.flags.c_contiguous:
        return meta, [value.data.cast("B")]  # with fewer steps
    return meta, [_flat(np.ascontiguousarray(value).reshape(-1))]


def allocate(
    meta: bytes, length: int, empty: Callable[[tuple[int, ...], np.dtype], np.ndarray] = np.empty
) -> tuple[Value, memoryview]:
    """The value that `meta` describes, uninitialised, and its `length` bytes to fill. An `Allocate` of frame_reader.py.

    Raises FrameRefused if `meta` describes no array of this length.
    """
    if not meta:
        return (buffer := bytearray(length)), memoryview(buffer)
    dtype, shape, size = _description(meta)
    if size != length:
        raise FrameRefused(f"{length} bytes for an array of {dtype} with shape {shape}")
    if 0 < length <= SMALL_BYTES:  # the same with fewer steps
        return np.ndarray(shape, dtype, buffer := bytearray(length)), memoryview(buffer)
    array = empty(shape, dtype)
    return array, _flat(array.reshape(-1)) if array.size else memoryview(bytearray())


def size_of(value: Value) -> int:
    """Bytes of payload that the value takes on the way."""
    return value.nbytes if isinstance(value, np.ndarray | np.generic | memoryview) else len(value)


@functools.lru_cache(_FORMS_KEPT)
def _form(dtype: np.dtype, shape: tuple[int, ...]) -> bytes:
    if dtype.hasobject or dtype.names or dtype.subdtype:
        raise TypeError(f"an array of {dtype} cannot be sent, because only arrays of plain items can")
    if len(shape) > _MAX_DIMENSIONS:
        raise TypeError(f"an array of {len(shape)} dimensions cannot be sent; at most {_MAX_DIMENSIONS}")
    form = json.dumps([dtype.str, shape])
    return form.ljust(-(len(form) + HEADER_BYTES) % _ALIGNMENT + len(form)).encode()


def _flat(items: np.ndarray) -> memoryview:
    return items.view(np.uint8).data


@functools.lru_cache(_FORMS_KEPT)
def _description(meta: bytes) -> tuple[np.dtype, tuple[int, ...], int]:
    try:
        name, shape = parse_json(meta)
        if not isinstance(name, str) or not _PLAIN_NAME.fullmatch(name):  # numpy parses others as Python's syntax
            raise ValueError(f"the type {str(name)[:40]!r}")
        dtype = np.dtype(name)
        plain = all(type(extent) is int and extent >= 0 for extent in shape) and len(shape) <= _MAX_DIMENSIONS
    except (ValueError, TypeError) as error:
        raise FrameRefused(f"meta that describes no array: {error}") from error
    if not plain or dtype.kind not in _PLAIN_KINDS or dtype.hasobject or dtype.names:
        raise FrameRefused(f"meta that describes no array of plain items: {meta[:80]!r}")
    return dtype, tuple(shape), dtype.itemsize * math.prod(shape)
