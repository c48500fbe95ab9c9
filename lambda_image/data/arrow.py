"""Columns between numpy's arrays and Arrow's, with null where a value is missing."""

import ast
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from arro3.core import Array

PANDAS_KINDS = {"i": "Int", "u": "UInt"}  # its nullable types are called so, with the number of bits


def repeated_texts(texts: NDArray[Any]) -> "Array":
    """Encodes texts [N], most of which equal the one before.

    Args:
        texts: Of numpy's type `U`.

    Returns:
        Arrow's array of strings. Of equal neighbours one is converted, since that is what takes long.
    """
    from arro3.core import Array, DataType

    changes = np.ones(len(texts), np.bool_)
    changes[1:] = texts[1:] != texts[:-1]
    distinct = Array(texts[changes].tolist(), DataType.string())
    return distinct.take(Array.from_numpy((np.cumsum(changes) - 1).astype(np.uint64)))


def encode_values(values: NDArray[Any], missing: NDArray[np.bool_]) -> "Array":
    """Encodes a column.

    Args:
        values: [N], of a type that a column can have. Text is UTF-8, and Python's notation of bytes is unwrapped.
        missing: Bool [N].

    Returns:
        Arrow's array of the same type, with strings for text, null where values are missing.
    """
    from arro3.core import Array, DataType

    values = _plain(values)
    array = Array.from_numpy(np.ascontiguousarray(values))
    if values.dtype.kind == "S":
        array = array.cast(DataType.string())  # text that is not UTF-8 becomes null, so partitions are checked for it
    if not missing.any():
        return array
    # An index that its type cannot hold becomes null in a cast, and taking a null index gives null.
    indices = np.where(missing, -1, np.arange(len(values)))
    return array.take(Array.from_numpy(indices).cast(DataType.uint64()))


def pandas_metadata(nullable: Mapping[str, np.dtype]) -> dict[str, str]:
    """Says which nullable types pandas shall choose, as it would else make float64 of integers with nulls.

    Args:
        nullable: the types of the columns that lack values, by name.

    Returns:
        Metadata of the table, in the form of pandas. It is empty where no column needs any.
    """
    described = []
    for name, dtype in nullable.items():
        if dtype.kind in "biu":
            described.append(
                {
                    "name": name,
                    "field_name": name,
                    "pandas_type": dtype.name,
                    "numpy_type": "boolean" if dtype.kind == "b" else f"{PANDAS_KINDS[dtype.kind]}{8 * dtype.itemsize}",
                    "metadata": None,
                }
            )
    content = {"columns": described, "index_columns": [], "column_indexes": [], "pandas_version": "1.0.0"}
    return {"pandas": json.dumps(content)} if described else {}


def decode_values(array: "Array") -> NDArray[Any]:
    """Decodes a column.

    Args:
        array: Arrow's array of N values.

    Returns:
        [N] of the same type, with numpy's type `S` for strings. With nulls it is a `numpy.ma.MaskedArray`.
    """
    from arro3.core import DataType

    text = DataType.is_string(array.type)
    if not array.null_count:
        return array.cast(DataType.binary()).to_numpy().astype(np.bytes_) if text else array.to_numpy()
    dtype = np.dtype(np.bytes_) if text else array.slice(0, 0).to_numpy().dtype
    if array.null_count == len(array):
        return np.ma.MaskedArray(np.zeros(len(array), dtype), True)
    given: Any = array.to_pylist()
    known = [("" if text else 0) if value is None else value for value in given]
    return np.ma.MaskedArray(
        np.array([value.encode() for value in known] if text else known, dtype), [value is None for value in given]
    )


def _plain(values: NDArray[Any]) -> NDArray[Any]:
    """The texts in UTF-8 and without Python's notation of bytes around them; other values as they are."""
    if values.dtype.kind == "U":
        values = np.char.encode(values, "utf-8")
    if values.dtype.kind != "S" or not (np.char.startswith(values, b"b'") | np.char.startswith(values, b'b"')).any():
        return values
    return np.array([_unwrapped(text) for text in values.tolist()], dtype=np.bytes_)


def _unwrapped(text: bytes) -> bytes:
    if len(text) < 3 or text[:2] not in (b"b'", b'b"') or text[-1:] != text[1:2]:
        return text
    try:
        inner = ast.literal_eval(text.decode())
        inner.decode()
    except (ValueError, SyntaxError):
        return text
    return bytes(inner)
