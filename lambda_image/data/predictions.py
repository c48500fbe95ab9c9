"""Predictions as a table: one row per galaxy, with what identifies it in its partition and what went in.

| column | type | |
| --- | --- | --- |
| `source` | string | key of the partition |
| `row` | int64 | row in the dataset that the partition was cut from, or in the partition itself |
| columns of the user | as in the partition | ids, positions and whatever else travels along |
| `mag_u` … `mag_z` | float32 | the magnitudes as given; `mag_1`, `mag_2`, … where they are not five |
| `redshift` | float32 | predicted, null where there is no prediction |
| `redshift_err` | float32 | the model's uncertainty of it; only where the model gives one |
| `redshift_true` | float32 | as the partition says, null where it says nothing |
| `quality` | int32 | flags of what is wrong with the row, see quality |

A column that only some partitions have is null in the rows of the others. It keeps its type, also where pandas reads
the table: an int64 with nulls becomes pandas' Int64, since float64 cannot hold an id of 18 digits.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lambda_image.data.arrow import decode_values, encode_values, pandas_metadata, repeated_texts
from lambda_image.data.columns import NUMBERED_MAGNITUDE, TABLE_COLUMNS, Columns, join_columns
from lambda_image.data.sizes import BANDS, magnitude_columns
from lambda_image.data.table_file import read_batches, reported, write_batches
from lambda_image.data.table_shape import TableShape, UserColumn

if TYPE_CHECKING:
    from arro3.core import Array, RecordBatch


@dataclass(frozen=True)
class Predictions:
    """Holds one row per galaxy; `len()` gives their number N.

    Attributes:
        source: Text [N], the key of the partition.
        row: Int64 [N], the row in the dataset that the partition was cut from, or in the partition itself.
        magnitudes: Float32 [N, M], as the partition gives them.
        redshift: Float32 [N], predicted, NaN where there is no prediction.
        redshift_true: Float32 [N], NaN where the partition has none.
        quality: Int32 [N], flags of what is wrong with the row.
        columns: The user's columns by name, each [N]. Text has numpy's type `S`, in UTF-8. A column that lacks values
            is a `numpy.ma.MaskedArray`.
        redshift_err: Float32 [N], the model's uncertainty of `redshift`, NaN where there is none. It is None where the
            model gives none at all.
    """

    source: NDArray[Any]
    row: NDArray[np.int64]
    magnitudes: NDArray[np.float32]
    redshift: NDArray[np.float32]
    redshift_true: NDArray[np.float32]
    quality: NDArray[np.int32]
    columns: Columns
    redshift_err: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.redshift)

    @classmethod
    def of_partition(
        cls,
        source: str,
        rows: int | NDArray[Any],
        magnitudes: NDArray[Any],
        redshift: NDArray[Any],
        true: NDArray[Any] | None,
        quality: NDArray[Any] | None = None,
        columns: Mapping[str, NDArray[Any]] | None = None,
        redshift_err: NDArray[Any] | None = None,
    ) -> "Predictions":
        """Puts together the predictions for rows of one partition.

        Args:
            source: The partition's key.
            rows: The number of each row [N], or of the first of consecutive rows.
            magnitudes: [N, M].
            redshift: Predicted redshifts [N], NaN where there is no prediction.
            true: Redshifts [N] of the partition, or None where it has none.
            quality: Flags [N], or None where no row has any.
            columns: The user's columns by name, each [N].
            redshift_err: The model's uncertainties [N], or None where it gives none.

        Returns:
            A table of N rows.
        """
        count = len(redshift)
        return cls(
            source=np.broadcast_to(np.array(source), count),  # which takes no memory
            row=np.arange(rows, rows + count) if isinstance(rows, int) else np.asarray(rows, np.int64),
            magnitudes=np.asarray(magnitudes, np.float32),
            redshift=np.asarray(redshift, np.float32),
            redshift_true=np.full(count, np.nan, np.float32) if true is None else np.asarray(true, np.float32),
            quality=np.zeros(count, np.int32) if quality is None else np.asarray(quality, np.int32),
            columns=dict(columns or {}),
            redshift_err=None if redshift_err is None else np.asarray(redshift_err, np.float32),
        )

    @classmethod
    def concatenate(cls, parts: "Sequence[Predictions]") -> "Predictions":
        """Joins tables in the given order.

        The result has every column of the user that some table has, and a value is missing where a table lacks the
        column. Where the types of a column differ, it gets the smallest type of the same kind that holds all values, or
        else their text.

        Args:
            parts: Any number of tables.

        Returns:
            A table of all their rows.
        """
        # What an empty table was read from does not say how many magnitudes it has. One with rows does.
        count = next((part.magnitudes.shape[1] for part in (*filter(len, parts), *parts)), len(BANDS))
        none = cls.of_partition("", 0, np.empty((0, count)), np.empty(0), None)
        every = [none, *(part for part in parts if len(part))]
        joined = {name: np.concatenate([getattr(part, name) for part in every]) for name in cls._arrays()}
        columns = join_columns([(len(part), part.columns) for part in parts])
        return cls(**joined, columns=columns, redshift_err=_joined_errors(parts))

    def where(self, kept: NDArray[np.bool_]) -> "Predictions":
        """Chooses rows.

        Args:
            kept: Bool [N], which ones.

        Returns:
            A table of these rows, in their order.
        """
        return self._chosen(kept)

    def rows(self, start: int, stop: int) -> "Predictions":
        """Gives consecutive rows, which share their memory with this table.

        Args:
            start: The first of them.
            stop: The one behind the last.
        """
        return self._chosen(slice(start, stop))

    def _chosen(self, chosen: slice | NDArray[np.bool_]) -> "Predictions":
        fields = {name: getattr(self, name)[chosen] for name in self._arrays()}
        columns = {name: values[chosen] for name, values in self.columns.items()}
        errors = None if self.redshift_err is None else self.redshift_err[chosen]
        return Predictions(**fields, columns=columns, redshift_err=errors)

    @property
    def nbytes(self) -> int:
        """How much memory the rows take, where the name of their partition is there once."""
        arrays = [getattr(self, name) for name in self._arrays() if name != "source"]
        masks = [values.mask for values in self.columns.values() if isinstance(values, np.ma.MaskedArray)]
        errors = [] if self.redshift_err is None else [self.redshift_err]
        return sum(array.nbytes for array in (*arrays, *errors, *self.columns.values(), *masks))

    @classmethod
    def _arrays(cls) -> list[str]:
        """Names of the fields that every table has as one array [N, ...]."""
        return [name for name in cls.__dataclass_fields__ if name not in ("columns", "redshift_err")]

    def to_parquet(self, metadata: Mapping[str, str] | None = None) -> bytes:
        """Encodes the table.

        A text that looks like Python's notation of bytes, as `b'1237648720693755918'` does, is written without the `b`
        and the quotes. Tools that read FITS files leave such texts behind.

        Args:
            metadata: What `table_file.read_metadata` shall find in the file, beside what pandas reads there.

        Returns:
            A Parquet file with the columns that this module lists.
        """
        shape, buffer = self.shape(), io.BytesIO()
        write_batches(buffer, shape.schema(), [self.to_batch(shape)], {**file_metadata(shape), **(metadata or {})})
        return buffer.getvalue()

    def shape(self) -> TableShape:
        """Describes the columns."""
        columns = {name: UserColumn(v.dtype, bool(np.ma.is_masked(v))) for name, v in self.columns.items()}
        return TableShape(len(self), self.magnitudes.shape[1], self.redshift_err is not None, columns)

    def to_batch(self, shape: TableShape) -> "RecordBatch":
        """Gives the rows as Arrow has them.

        Args:
            shape: The columns of the file that they are for, which has all of this table's.

        Returns:
            The rows, null in columns that this table lacks.
        """
        from arro3.core import Array, RecordBatch

        count = len(self)
        arrays: dict[str, Any] = {"source": repeated_texts(self.source), "row": Array.from_numpy(self.row)}
        for name, column in shape.columns.items():
            values = self.columns.get(name)
            if values is None:
                arrays[name] = encode_values(np.zeros(count, column.dtype), np.ones(count, np.bool_))
            else:
                mask = np.ma.getmaskarray(values)
                arrays[name] = encode_values(np.ma.getdata(values).astype(column.dtype, copy=False), mask)
        for index, name in enumerate(magnitude_columns(shape.magnitudes)):
            known = index < self.magnitudes.shape[1]
            values = self.magnitudes[:, index] if known else np.empty(0, np.float32)  # only of a table without rows
            arrays[name] = Array.from_numpy(np.ascontiguousarray(values))
        errors = np.full(count, np.nan, np.float32) if self.redshift_err is None else self.redshift_err
        redshifts = {"redshift": self.redshift, "redshift_err": errors, "redshift_true": self.redshift_true}
        for name, values in redshifts.items():
            if name != "redshift_err" or shape.errors:
                arrays[name] = encode_values(values, np.isnan(values))
        arrays["quality"] = Array.from_numpy(self.quality)
        return RecordBatch.from_arrays(list(arrays.values()), schema=shape.schema())

    @classmethod
    def from_parquet(cls, data: bytes) -> "Predictions":
        """Decodes a table.

        Args:
            data: What `to_parquet` gave, now or before there were columns of the user and flags.

        Returns:
            The table.

        Raises:
            ValueError: The bytes are anything else.
        """
        with reported():
            return cls.concatenate([cls.from_batch(batch) for batch in read_batches(data)])

    @classmethod
    def from_batch(cls, batch: "RecordBatch") -> "Predictions":
        """Reads rows as Arrow has them in a table's file.

        Args:
            batch: What `to_batch` gave, now or before there were columns of the user and flags.

        Raises:
            Exception: A column is missing or has another type.
        """
        count, column = batch.num_rows, {name: batch[name] for name in batch.schema.names}
        magnitudes = magnitude_columns(len(BANDS))
        if magnitudes[0] not in column:
            magnitudes = magnitude_columns(sum(bool(NUMBERED_MAGNITUDE.fullmatch(name)) for name in column))
        ours = {*TABLE_COLUMNS, *magnitudes}
        errors = column.get("redshift_err")
        return cls(
            source=np.array(column["source"].to_pylist(), dtype=np.str_),
            row=np.asarray(column["row"]),
            magnitudes=np.column_stack(
                [np.empty((count, 0), np.float32), *(np.asarray(column[name]) for name in magnitudes)]
            ),
            redshift=_decoded(column["redshift"]),
            redshift_true=_decoded(column["redshift_true"]),
            quality=np.asarray(column["quality"]) if "quality" in column else np.zeros(count, np.int32),
            columns={name: decode_values(values) for name, values in column.items() if name not in ours},
            redshift_err=None if errors is None else _decoded(errors),
        )


def _decoded(redshifts: "Array") -> NDArray[Any]:
    """NaN where one is missing. Where none is, nothing of `numpy.ma` is needed, which takes 10 ms to import."""
    values = decode_values(redshifts)
    return np.ma.filled(values, np.nan) if redshifts.null_count else values


def _joined_errors(parts: Sequence[Predictions]) -> NDArray[np.float32] | None:
    """The uncertainties of all rows; None where no table has any."""
    if all(part.redshift_err is None for part in parts):
        return None
    unknown = (np.full(len(part), np.nan, np.float32) for part in parts)
    return np.concatenate(
        [n if part.redshift_err is None else part.redshift_err for part, n in zip(parts, unknown, strict=True)]
    )


def file_metadata(shape: TableShape) -> dict[str, str]:
    """Says what pandas reads in a file of this shape, beside its columns."""
    return pandas_metadata({name: column.dtype for name, column in shape.columns.items() if column.missing})
