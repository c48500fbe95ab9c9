"""The tables of the ranks put together as one, in a stream of which a few tables are in memory.

`predictions.parquet` names the tables that it was made of by a digest in its metadata, so that Summarize need not read
it to see whether it is whole.
"""

from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from lambda_image.data.predictions import Predictions, file_metadata
from lambda_image.data.table_file import TableError, column_types, read_batches, write_batches
from lambda_image.data.table_shape import TableShape
from lambda_image.ownership import RunObjects
from lambda_image.results import DIGEST_BYTES, Record
from lambda_image.storage import BlockReader, ObjectInfo, ObjectUpload, Version

if TYPE_CHECKING:
    from arro3.core import RecordBatch

COMBINED = "predictions.parquet"
TableSource = bytes | BlockReader  # a Parquet file: its content, or what reads it on S3
TABLES = "tables"  # the key of the metadata with the digest of all tables


@dataclass
class CombinedTable:
    """What the table of all predictions has to be: `add` takes the ranks' records in their order.

    Attributes:
        shape: its columns.
    """

    shape: TableShape = field(default_factory=TableShape)

    def __post_init__(self) -> None:
        self._digest = blake2b(digest_size=DIGEST_BYTES)

    def add(self, record: Record) -> None:
        """Takes the record of a rank, whose table is described in it."""
        facts = record["predictions"]
        self._digest.update(facts["blake2b"].encode())
        self.shape = TableShape.joined([self.shape, TableShape.from_json(facts)])

    def is_in(self, found: Version | ObjectInfo | None) -> bool:
        """Tells whether an object was made of these tables."""
        return found is not None and found.metadata.get(TABLES) == self._digest.hexdigest()

    def write(
        self, objects: RunObjects, key: str, tables: Iterable[TableSource], known: ObjectInfo | None = None
    ) -> None:
        """Writes it.

        Args:
            objects: the run's objects.
            key: where it will be.
            tables: the ranks' tables as files, in their order. Each ends with its last row.
            known: what was found in its place.

        Raises:
            RunError: it could not be written.
            Exception: whatever `tables` raises.
        """
        with objects.begin(key, metadata={TABLES: self._digest.hexdigest()}) as upload:
            write_tables(upload, self.shape, tables)
            objects.put(key, upload, within_run="replace", known=known)


def write_tables(file: ObjectUpload | Any, shape: TableShape, tables: Iterable[TableSource]) -> None:
    """Writes the rows of several tables into one file.

    Args:
        file: takes the bytes.
        shape: the columns of the file.
        tables: Parquet files, in their order. Each ends with its last row.
    """
    write_batches(file, shape.schema(), _batches(shape, tables), file_metadata(shape))


def rows_of(table: TableSource) -> "Iterator[RecordBatch]":
    """Reads a table, which ends with its last row.

    Raises:
        TableError: it is none.
        RunError: S3 did not answer.
    """
    with nullcontext() if isinstance(table, bytes) else table:
        try:
            yield from read_batches(table if isinstance(table, bytes) else cast(BinaryIO, table))
        except TableError:
            if isinstance(table, BlockReader) and table.error is not None:
                raise table.error from None
            raise


def _batches(shape: TableShape, tables: Iterable[TableSource]) -> "Iterator[RecordBatch]":
    from arro3.core import RecordBatch

    schema = shape.schema()
    wanted = column_types(schema)
    for table in tables:
        for batch in rows_of(table):
            if not batch.num_rows:
                continue
            if column_types(batch.schema) == wanted:  # as it is: no value need be touched
                yield RecordBatch.from_arrays(batch.columns, schema=schema)
            else:
                yield Predictions.from_batch(batch).to_batch(shape)
