"""Parquet files that are written and read piece by piece, whatever their length.

zstd comes with the library, is read by every tool that tests name, and makes the tables of a survey smaller by a
quarter. Numbers hardly ever repeat, so that only text is encoded by a dictionary.
"""

import io
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from arro3.core import DataType, RecordBatch, Schema

READ_ROWS = 1 << 16  # at a time; the library's default of 1,024 makes many small pieces
GROUP_ROWS = 1 << 17  # of which the writer holds one group: 5 MB for the published columns
COMPRESSION = "zstd(1)"


class TableError(ValueError):
    """Tells that bytes are not a table in Parquet."""


def write_batches(
    file: Any, schema: "Schema", batches: "Iterable[RecordBatch]", metadata: Mapping[str, str] | None = None
) -> None:
    """Writes a Parquet file from one batch after another.

    Args:
        file: takes the bytes by `write`, which must not raise: the library would end the process's trust in it.
        schema: of all batches.
        batches: the rows.
        metadata: of the file.

    Raises:
        Exception: whatever `batches` raises.
    """
    from arro3.core import DataType, RecordBatchReader
    from arro3.io import write_parquet

    failed: list[BaseException] = []

    def guarded() -> "Iterator[RecordBatch]":
        try:
            yield from batches
        except BaseException as error:  # which the library would give as a text
            failed.append(error)
            raise

    texts = [name for name, kind in column_types(schema) if DataType.is_string(kind)]
    with_metadata = schema.with_metadata(dict(metadata or {}))
    try:
        write_parquet(
            RecordBatchReader.from_batches(with_metadata, guarded()),
            file,
            compression=COMPRESSION,
            dictionary_enabled=False,
            column_dictionary_enabled=dict.fromkeys(texts, True),
            max_row_group_size=GROUP_ROWS,
        )
    except BaseException:
        if failed:
            raise failed[0] from None
        raise


def column_types(schema: "Schema") -> "list[tuple[str, DataType]]":
    """Lists the columns of a schema with their types."""
    return list(zip(schema.names, schema.types, strict=True))


def read_batches(file: BinaryIO | bytes) -> "Iterator[RecordBatch]":
    """Reads a Parquet file, of which a group of rows at a time is in memory.

    Args:
        file: its bytes, or what they can be read from.

    Raises:
        TableError: it is no Parquet file.
    """
    with reported():
        batches = iter(_open(file))
    while True:
        with reported():
            batch = next(batches, None)
        if batch is None:
            return
        yield batch


def read_metadata(file: BinaryIO | bytes) -> dict[str, str]:
    """Reads the metadata of a Parquet file, and no more of it.

    Raises:
        TableError: it is no Parquet file.
    """
    with reported():
        return dict(_open(file).schema.metadata_str)


def _open(file: BinaryIO | bytes) -> Any:
    from arro3.io import read_parquet

    return read_parquet(io.BytesIO(file) if isinstance(file, bytes) else file, batch_size=READ_ROWS)


class reported:  # noqa: N801 - used as a function, as contextlib's are
    """Within it whatever the library raises over a file that it cannot read is a TableError.

    The library panics over some files, by a BaseException of its own.
    """

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if error is not None and (isinstance(error, Exception) or type(error).__name__ == "PanicException"):
            raise TableError(f"not a table of predictions: {error}") from error
