"""Predictions as a table: one row per galaxy, with what identifies it in its partition and what went in.

| column | type | |
| --- | --- | --- |
| `source` | string | key of the partition |
| `row` | int64 | row in it |
| `mag_u` … `mag_z` | float32 | the magnitudes as given |
| `redshift` | float32 | predicted; null where it would mean nothing |
| `redshift_true` | float32 | as the partition says; null where it is unknown |
| `quality` | int32 | flags that say what is wrong with the row (quality.py); 0 where nothing is |
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lambda_image.data.partition import BANDS

if TYPE_CHECKING:
    from arro3.core import Table


@dataclass(frozen=True)
class Predictions:
    """Holds one row per galaxy; `len()` gives their number N.

    Attributes:
        source: Text [N], the key of the partition.
        row: Int64 [N], the row in the partition.
        magnitudes: Float32 [N, 5], as the partition gives them.
        redshift: Float32 [N], predicted; NaN where it would mean nothing.
        redshift_true: Float32 [N], NaN where it is unknown.
        quality: Int32 [N], the flags of quality.py.
    """

    source: NDArray[Any]
    row: NDArray[np.int64]
    magnitudes: NDArray[np.float32]
    redshift: NDArray[np.float32]
    redshift_true: NDArray[np.float32]
    quality: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.redshift)

    @classmethod
    def of_partition(
        cls,
        source: str,
        first_row: int,
        magnitudes: NDArray[Any],
        redshift: NDArray[Any],
        true: NDArray[Any] | None,
        quality: NDArray[Any] | None = None,
    ) -> "Predictions":
        """Puts together the predictions for consecutive rows of one partition.

        Args:
            source: The partition's key.
            first_row: The first of the rows in the partition.
            magnitudes: [N, 5].
            redshift: Predicted redshifts [N].
            true: Redshifts [N] of the partition, or None where it has none.
            quality: The rows' flags [N], or None where nothing is wrong with any.

        Returns:
            A table of N rows.
        """
        count = len(redshift)
        return cls(
            source=np.full(count, source),
            row=np.arange(first_row, first_row + count),
            magnitudes=np.asarray(magnitudes, np.float32),
            redshift=np.asarray(redshift, np.float32),
            redshift_true=np.full(count, np.nan, np.float32) if true is None else np.asarray(true, np.float32),
            quality=np.zeros(count, np.int32) if quality is None else np.asarray(quality, np.int32),
        )

    @classmethod
    def concatenate(cls, parts: "Sequence[Predictions]") -> "Predictions":
        """Joins tables in the given order.

        Args:
            parts: Any number of tables.

        Returns:
            A table of all their rows.
        """
        none = cls.of_partition("", 0, np.empty((0, len(BANDS))), np.empty(0), None)
        every = [none, *parts]
        return cls(*(np.concatenate([getattr(part, name) for part in every]) for name in cls.__dataclass_fields__))

    def where(self, kept: NDArray[np.bool_]) -> "Predictions":
        """Chooses rows.

        Args:
            kept: Bool [N], which ones.

        Returns:
            A table of these rows, in their order.
        """
        return Predictions(*(getattr(self, name)[kept] for name in self.__dataclass_fields__))

    def to_parquet(self) -> bytes:
        """Encodes the table.

        Returns:
            A Parquet file with the columns that this module lists.
        """
        from arro3.core import Array, DataType, Table
        from arro3.io import write_parquet

        columns: dict[str, Any] = {
            "source": Array(self.source.tolist(), DataType.string()),
            "row": Array.from_numpy(self.row),
        }
        for index, band in enumerate(BANDS):
            columns[f"mag_{band}"] = Array.from_numpy(np.ascontiguousarray(self.magnitudes[:, index]))
        for name in ("redshift", "redshift_true"):
            columns[name] = _nullable(getattr(self, name))
        columns["quality"] = Array.from_numpy(self.quality)
        buffer = io.BytesIO()
        write_parquet(Table.from_pydict(columns), buffer)
        return buffer.getvalue()

    @classmethod
    def from_parquet(cls, data: bytes) -> "Predictions":
        """Decodes a table.

        Args:
            data: What `to_parquet` gave.

        Returns:
            The table.

        Raises:
            ValueError: The bytes are anything else.
        """
        from arro3.io import read_parquet

        try:
            table: Table = read_parquet(io.BytesIO(data)).read_all()
            if not table.num_rows:
                return cls.concatenate([])
            column = {name: table[name].combine_chunks() for name in table.column_names}
            return cls(
                source=np.array(column["source"].to_pylist(), dtype=np.str_),
                row=np.asarray(column["row"]),
                magnitudes=np.column_stack([np.asarray(column[f"mag_{band}"]) for band in BANDS]),
                redshift=_floats(column["redshift"]),
                redshift_true=_floats(column["redshift_true"]),
                quality=np.asarray(column["quality"]),
            )
        except BaseException as error:
            # The library panics (a BaseException of its own) over a file that it cannot read.
            if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                raise
            raise ValueError(f"not a table of predictions: {error}") from error


def _nullable(values: NDArray[np.float32]) -> Any:
    """An Arrow array, null where a value is not finite."""
    from arro3.core import Array, DataType

    known = np.isfinite(values)
    if known.all():
        return Array.from_numpy(values)
    items = zip(values.tolist(), known, strict=True)
    return Array([value if there else None for value, there in items], DataType.float32())


def _floats(column: Any) -> NDArray[np.float32]:
    """Float32 [N] of an Arrow array, NaN where it is null."""
    if not column.null_count:
        return np.asarray(column, np.float32)
    return np.array([np.nan if value is None else value for value in column.to_pylist()], np.float32)
