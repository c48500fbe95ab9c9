"""Parquet by pyarrow. Rows are read in order, and going back begins again.

Columns of lists are arrays of more dimensions, if all lists are equally long. Those within a structure are named with a
dot, as `image.flux` is where the Multimodal Universe keeps `image` as a structure of lists or a list of structures.
"""

import functools
import itertools
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from lambda_image.data.file_content import Column
from lambda_image.errors import PartitionMalformed
from scripts.importing.contents import TEXT, Array, Contents, concatenated, first_line

BATCH_BYTES = 8 << 20  # of a column, decoded at a time
MAX_BATCH_ROWS = 1 << 16
MAX_EMPTY_ROWS = 1000  # at the beginning, behind which nobody looks for the shape of lists
VALUE_BYTES = 8  # of most types, at most
BUFFER_BYTES = 1 << 20


def open_parquet(path: Path) -> Contents:
    """Opens a Parquet file.

    Raises:
        PartitionMalformed: it cannot be read. The message names it.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path, pre_buffer=False)
        found = Contents(str(path), "Parquet", {})
        leaf = 0  # columns of Parquet are the leaves of the schema, in the order in which they are met
        for field in file.schema_arrow:
            leaf = _add_field(found, field.name, field, file, leaf)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise PartitionMalformed(f"{path} cannot be read as Parquet: {first_line(error)}", object=str(path)) from error
    return found


def _batches(path: str, leaf: str, rows: int) -> Iterator[Any]:
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path, pre_buffer=False, buffer_size=BUFFER_BYTES, page_checksum_verification=True)
    for batch in file.iter_batches(rows, columns=[leaf], use_threads=False):
        yield batch.column(0)


def _batch_rows(shape: tuple[int, ...]) -> int:
    """How many rows of a column are decoded at a time. What they take in the file says little: it may be compressed."""
    return max(1, min(BATCH_BYTES // (math.prod(shape) * VALUE_BYTES), MAX_BATCH_ROWS))


class Cursor:
    """Gives rows of a column that can only be read from its beginning on."""

    def __init__(self, name: str, batches: Callable[[], Iterator[Any]]) -> None:
        self._name, self.fresh = name, batches
        self._restart()

    def _restart(self) -> None:
        self._batches, self._held, self._first = self.fresh(), list[Any](), 0  # rows from `_first` on are held

    def rows(self, start: int, stop: int) -> list[Any]:
        """Pieces of Arrow arrays that are together the rows [start, stop)."""
        import pyarrow as pa

        if start < self._first:
            self._restart()
        try:
            while self._first + sum(map(len, self._held)) < stop:
                while self._held and self._first + len(self._held[0]) <= start:
                    self._first += len(self._held.pop(0))
                self._held.append(next(self._batches))
        except (StopIteration, pa.ArrowException, OSError) as error:
            problem = str(error).splitlines()[0] if str(error) else "it ends too early"
            raise PartitionMalformed(
                f"{self._name}: rows behind {self._first:,}: {problem}", object=self._name
            ) from error
        while self._held and self._first + len(self._held[0]) <= start:
            self._first += len(self._held.pop(0))
        pieces, begin = [], self._first
        for held in self._held:
            low, high = max(start - begin, 0), min(stop - begin, len(held))
            if low < high:
                pieces.append(held.slice(low, high - low))
            begin += len(held)
        return pieces


def _add_field(found: Contents, name: str, field: Any, file: Any, leaf: int, path: tuple[str, ...] = ()) -> int:
    """Adds what a field holds. `path` names the structures and lists that lead to it; the next leaf is returned."""
    import pyarrow as pa

    kind = field.type
    while _is_list(kind):
        kind, path = kind.value_type, (*path, "[]")
    if pa.types.is_struct(kind):
        for inner in kind:
            leaf = _add_field(found, f"{name}.{inner.name}", inner, file, leaf, (*path, inner.name))
        return leaf
    if pa.types.is_map(kind):
        return leaf + _leaves(kind)
    rows = int(file.metadata.num_rows)
    batches = functools.partial(_batches, found.name, file.schema.column(leaf).path)
    found.arrays[name] = _leaf_column(name, kind, path, rows, batches, found.name)
    metadata = field.metadata or {}
    if unit := next((metadata[key].decode() for key in (b"unit", b"units") if key in metadata), None):
        found.units[name] = unit
    return leaf + 1


def _leaves(kind: Any) -> int:
    """How many columns of Parquet a type takes."""
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return sum(_leaves(inner.type) for inner in kind)
    if pa.types.is_map(kind):
        return _leaves(kind.key_type) + _leaves(kind.item_type)
    return _leaves(kind.value_type) if _is_list(kind) else 1


def _leaf_column(
    name: str, kind: Any, path: tuple[str, ...], rows: int, batches: Callable[[int], Iterator[Any]], file: str
) -> Column:
    shape: tuple[int, ...] = ()
    if "[]" in path and rows:
        found = _shape(batches(1), path)
        if found is None:
            return Column("lists of several lengths", (rows,), _never)
        shape = found
    cursor = Cursor(file, lambda: batches(_batch_rows(shape)))

    def read(start: int, stop: int) -> Array:
        pieces, row = list[Array](), start
        for piece in cursor.rows(start, stop):
            try:
                pieces.append(_values(piece, path, shape))
            except _UnevenError as error:
                raise PartitionMalformed(
                    f"{file}: {name} has lists of other lengths in row {row + error.row} than before, which are "
                    f"{list(shape)}: leave that row out, or make its lists empty or null",
                    object=file,
                ) from error
            row += len(piece)
        return concatenated(pieces) if pieces else np.empty((0, *shape))

    return Column(_dtype_of(kind), (rows, *shape), read)


def _shape(rows: Iterator[Any], path: tuple[str, ...]) -> tuple[int, ...] | None:
    """The shape in the first row that has one, since a galaxy may have no images; None where there is no such row."""
    try:
        found = (_values(row, path) for row in itertools.islice(rows, MAX_EMPTY_ROWS))
        return next((values.shape[1:] for values in found if len(values)), None)
    except _UnevenError:
        return None


def _is_list(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _dtype_of(kind: Any) -> str:
    import pyarrow as pa

    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return TEXT
    if pa.types.is_dictionary(kind):
        return _dtype_of(kind.value_type)
    if pa.types.is_boolean(kind):
        return "bool"
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return str(np.dtype(kind.to_pandas_dtype()).name)
    return str(kind)


class _UnevenError(ValueError):
    """Lists of several lengths, first in this row."""

    def __init__(self, row: int) -> None:
        super().__init__(row)
        self.row = row


def _values(array: Any, path: tuple[str, ...], shape: tuple[int, ...] | None = None) -> Array:
    """Numpy's array of what lies behind `path`, masked where something is null and where a row holds nothing.

    Args:
        array: Rows of a column.
        path: The structures and lists that lead to the values.
        shape: Of the values in each row. Without it, it is that of the first row, and rows that hold nothing are left
            out.

    Raises:
        _UnevenError: Lists have other lengths than the shape says.
    """
    import pyarrow as pa
    from pyarrow import compute  # which pyarrow does not import by itself

    bounds = np.arange(len(array) + 1)  # where each row begins in what has been reached
    lengths, uneven = list[int](), np.zeros(len(array), np.bool_)
    for step in path:
        if isinstance(array, pa.ExtensionArray):
            array = array.storage
        if step != "[]":
            array = array.field(step) if array.null_count == 0 else compute.struct_field(array, step)
            continue
        sizes = compute.list_value_length(array)
        sizes = (sizes.fill_null(0) if sizes.null_count else sizes).to_numpy()
        lengths.append(shape[len(lengths)] if shape is not None else int(sizes[0]) if len(sizes) else 0)
        if (sizes == lengths[-1]).all():  # as nearly always
            bounds = bounds * lengths[-1]
        else:
            uneven |= np.diff(_sums(sizes != lengths[-1])[bounds]) > 0
            bounds = _sums(sizes)[bounds]
        array = array.flatten()
    values = _leaf(array.storage if isinstance(array, pa.ExtensionArray) else array)
    if not lengths:
        return values
    absent = np.diff(bounds) == 0  # a galaxy without images
    if (bad := uneven & ~absent).any():
        raise _UnevenError(int(np.argmax(bad)))
    values = values.reshape(int(np.count_nonzero(~absent)), *lengths)
    return _with_absent(values, absent) if shape is not None and absent.any() else values


def _sums(numbers: Array) -> Array:
    """Sums of the first 0, 1, ... numbers."""
    return np.concatenate([[0], np.cumsum(numbers, dtype=np.int64)])


def _with_absent(values: Array, absent: Array) -> Array:
    whole = np.zeros((len(absent), *values.shape[1:]), values.dtype)
    mask = np.zeros(whole.shape, np.bool_)
    whole[~absent], mask[~absent] = np.ma.getdata(values), np.ma.getmaskarray(values)
    mask[absent] = True
    return np.ma.MaskedArray(whole, mask)


def _leaf(array: Any) -> Array:
    """A flat Arrow array of plain values."""
    import pyarrow as pa

    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        texts = [text.encode() if text is not None else b"" for text in array.to_pylist()]
        return np.array(texts or [b""], np.bytes_)[: len(texts)]
    if pa.types.is_null(array.type):
        return np.ma.MaskedArray(np.zeros(len(array)), True)
    if not array.null_count:
        return np.asarray(array.to_numpy(zero_copy_only=False))
    missing = np.asarray(array.is_null())
    zero = pa.scalar(False if pa.types.is_boolean(array.type) else 0, array.type)
    return np.ma.MaskedArray(array.fill_null(zero).to_numpy(zero_copy_only=False), missing)


def _never(_start: int, _stop: int) -> Array:
    raise AssertionError("what is no array is listed only")
