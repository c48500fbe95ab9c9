"""Columns between numpy and Arrow, for the formats that astropy reads and writes."""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import compute, types

from scripts.catalogue.ids import is_text
from scripts.catalogue.table import Catalogue, Meaning, Notes


def to_arrow(values: NDArray[Any], *, padded: bool = False) -> pa.Array | None:
    """Makes an Arrow array.

    Args:
        values: [N] or [N, W], in any byte order, masked where values are missing. Bytes are text in UTF-8 or Latin-1.
        padded: whether blanks at the end of a text mean nothing, as in FITS.

    Returns:
        The array, with lists for [N, W], or None if numpy has no plain type for the values.
    """
    if values.dtype.kind not in "biufSU":
        return _objects(values)
    if values.ndim > 1:
        width = int(np.prod(values.shape[1:]))
        flat = to_arrow(values.reshape(-1), padded=padded)
        return pa.FixedSizeListArray.from_arrays(flat, width) if width else None
    mask = np.ma.getmaskarray(values) if np.ma.is_masked(values) else None
    plain = np.ma.getdata(values)
    if plain.dtype.kind == "S":
        text = pa.array(np.ascontiguousarray(plain), pa.binary(), mask=mask)
        try:
            text = text.cast(pa.string())
        except pa.ArrowInvalid:
            text = pa.array(np.char.decode(plain, "latin-1"), pa.string(), mask=mask)
        return compute.utf8_rtrim(text, characters=" ") if padded else text
    if plain.dtype.kind == "U":
        return pa.array(plain, pa.string(), mask=mask)
    return pa.array(np.ascontiguousarray(plain, plain.dtype.newbyteorder("=")), mask=mask)


def _objects(values: NDArray[Any]) -> pa.Array | None:
    """Texts that astropy holds as Python's objects; None for anything else."""
    if values.dtype.kind != "O" or values.ndim > 1:
        return None
    missing = np.ma.getmaskarray(values)
    given = [None if none else value for value, none in zip(np.ma.getdata(values).tolist(), missing, strict=True)]
    if any(not isinstance(value, str | None) for value in given):
        return None
    return pa.array(given, pa.string())


def from_astropy(table: Any, *, padded: bool = False) -> tuple[Catalogue, Notes]:
    """Takes over an astropy table with its units, descriptions and UCDs.

    Args:
        table: an `astropy.table.Table`.
        padded: as in `to_arrow`.

    Returns:
        The catalogue, and which columns it lacks because their type has no counterpart.
    """
    columns, meanings, lost = {}, {}, []
    for name in table.colnames:
        column = table[name]
        # Times and positions are no arrays but objects of astropy.
        array = to_arrow(column, padded=padded) if isinstance(column, np.ndarray) else None
        if array is None:
            lost.append(name)
            continue
        columns[name] = array
        text = " ".join(str(column.description or "").split())
        meanings[name] = Meaning(str(column.unit or ""), str(column.meta.get("ucd") or ""), text)
    notes = [f"the column {name} of the catalogue is left out, as its values are no numbers or text" for name in lost]
    return Catalogue(pa.table(columns), meanings), notes


def plain(column: pa.ChunkedArray) -> pa.Array | None:
    """Brings a column to one of the types that formats other than Parquet have.

    Args:
        column: of any of Arrow's types.

    Returns:
        Truth values, integers, floating-point numbers of 32 or 64 bits, strings, or lists of numbers of one length.
        None if it is neither. Times become text as ISO 8601 writes it.
    """
    values = column.combine_chunks()
    kind = values.type
    if types.is_dictionary(kind):
        return plain(pa.chunked_array([values.dictionary_decode()]))
    if types.is_null(kind) or types.is_temporal(kind) or is_text(kind):
        if types.is_duration(kind):
            return values.cast(pa.int64())
        if types.is_timestamp(kind):
            return compute.strftime(values, "%Y-%m-%dT%H:%M:%S")
        try:
            return values.cast(pa.string())
        except pa.ArrowInvalid:  # bytes that are no text
            return None
    if types.is_decimal(kind):
        return values.cast(pa.float64())
    if kind == pa.float16():
        return values.cast(pa.float32())
    if types.is_fixed_size_list(kind):
        item = kind.value_type
        numbers = types.is_integer(item) or item in (pa.float32(), pa.float64())
        gaps = values.null_count or (types.is_integer(item) and values.flatten().null_count)
        return values if numbers and not gaps else None
    plainly = types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind)
    return values if plainly else None


def to_numpy(values: pa.Array) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
    """Makes a numpy array of what `plain` gives.

    Returns:
        [N] or [N, W], with 0, False, NaN or an empty text where values are missing, and where that is, or None where
        it is nowhere.
    """
    missing = values.is_null().to_numpy(zero_copy_only=False) if values.null_count else None
    if types.is_fixed_size_list(values.type):
        flat, _ = to_numpy(values.flatten())
        return flat.reshape(len(values), values.type.list_size), None
    if types.is_string(values.type):
        objects = compute.fill_null(values, "").cast(pa.binary()).to_numpy(zero_copy_only=False)
        return objects.astype(np.bytes_), missing
    if types.is_floating(values.type):
        return values.to_numpy(zero_copy_only=False), missing
    filled = values.fill_null(False if types.is_boolean(values.type) else 0)
    return filled.to_numpy(zero_copy_only=False), missing
