"""The table of one rank, put together from its partitions one after another.

A table that is small enough for the gather is in memory as well as on S3, since it goes to rank 0 by sockets. A larger
one stays on S3, where Summarize finds it.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, NamedTuple

from lambda_image.data.predictions import Predictions, file_metadata
from lambda_image.data.table_file import GROUP_ROWS, write_batches
from lambda_image.data.table_shape import TableShape
from lambda_image.errors import InvalidEvent, PartitionMissing
from lambda_image.manifest import Assignment
from lambda_image.results import DIGEST_BYTES, table_facts
from lambda_image.statistics import Statistics
from lambda_image.storage import BlockReader, ObjectStore, ObjectUpload

TRAVELS_BYTES = 32 << 20  # of one table, whatever the run allows for all: about 700,000 galaxies
TABLES_SHARE = 4  # of the memory of a rank that gathers, which the engine and the encoder use as well
READ_BYTES = 1 << 20


def travelling_bytes(assignment: Assignment, memory_mb: int) -> int:
    """Computes up to how many bytes a rank's table goes to rank 0 by sockets. It is the same for all ranks of a run.

    Args:
        assignment: the rank's item of the manifest, with its share.
        memory_mb: of the function, of which the tables of all ranks take a part at most.
    """
    of_all = min(assignment.gather_limit, (memory_mb << 20) // TABLES_SHARE)
    return min(TRAVELS_BYTES, of_all // assignment.world_size)


@dataclass(frozen=True)
class RankTable:
    """A table as a Parquet file, with what the rank's record says of it.

    Attributes:
        content: the file. It is empty where that is too large to be in memory.
        size: bytes of the file.
        blake2b: its digest.
        shape: its columns.
        statistics: of its rows.
    """

    content: bytes
    size: int
    blake2b: str
    shape: TableShape
    statistics: Statistics

    @classmethod
    def of(cls, tables: Sequence[Predictions]) -> "RankTable":
        """Puts tables together in memory, in their order."""
        return cls.written(tables, TableShape.joined(table.shape() for table in tables), most=math.inf)

    @classmethod
    def written(
        cls,
        tables: Iterable[Predictions],
        shape: TableShape,
        upload: ObjectUpload | None = None,
        metadata: Mapping[str, str] | None = None,
        most: float | None = None,
    ) -> "RankTable":
        """Puts tables together, one after another.

        Args:
            tables: in their order.
            shape: the columns of them all.
            upload: takes the file.
            metadata: of the file, beside what pandas reads there.
            most: the bytes up to which the file is in memory, too; None for TRAVELS_BYTES.

        Raises:
            Exception: whatever `tables` raises. What the upload could not take is raised when that ends.
        """
        statistics, file = Statistics(), _MeasuredFile(upload, TRAVELS_BYTES if most is None else most)

        def batches() -> Iterable[Any]:
            for table in tables:
                statistics.add(table)
                if len(table):
                    yield table.to_batch(shape)

        write_batches(file, shape.schema(), batches(), {**file_metadata(shape), **(metadata or {})})
        return cls(bytes(file.content), file.size, file.digest.hexdigest(), shape, statistics)

    def facts(self, key: str) -> dict[str, Any]:
        """Gives what a record says of it, which names it by its key."""
        return table_facts(key, self.size, self.blake2b, self.shape)


class _MeasuredFile:
    """Passes on what is written to it, counts that, and keeps it where it is not too much."""

    def __init__(self, upload: ObjectUpload | None, most: float) -> None:
        self._upload, self._most = upload, most
        self.content, self.size, self.digest = bytearray(), 0, blake2b(digest_size=DIGEST_BYTES)

    def write(self, data: bytes) -> int:
        self.size += len(data)
        self.digest.update(data)
        if self.size <= self._most:
            self.content += data
        else:
            self.content = bytearray()  # its memory goes back at once
        if self._upload is not None:
            self._upload.write(data)
        return len(data)

    def flush(self) -> None:
        """Does nothing; a file has it."""

    def seek(self, *_: int) -> int:
        """Refuses, as a file does that is only written."""
        raise OSError("what was written cannot be read here")

    read = seek


class NamedTable(NamedTuple):
    """A table that is what a record says of it."""

    content: bytes  # the file, which is empty where it is too large to be in memory
    etag: str | None


def named_table(store: ObjectStore, facts: Mapping[str, Any], most: int | None = None) -> NamedTable | None:
    """Reads the table that a record names.

    Args:
        store: the bucket of the results.
        facts: what the record says of it.
        most: the bytes up to which the file is in memory; None for TRAVELS_BYTES.

    Returns:
        The table, or None where what is there is another one.

    Raises:
        RunError: S3 did not answer, or denied access.
    """
    content, digest = bytearray(), blake2b(digest_size=DIGEST_BYTES)
    try:
        reader = store.open(facts["key"])
    except (InvalidEvent, PartitionMissing):  # by which of them a store says that there is none
        return None
    with reader:
        while piece := reader.read(READ_BYTES):
            digest.update(piece)
            if reader.size <= (TRAVELS_BYTES if most is None else most):
                content += piece
    return NamedTable(bytes(content), reader.etag) if digest.hexdigest() == facts["blake2b"] else None


def open_table(store: ObjectStore, facts: Mapping[str, Any], table: NamedTable) -> BlockReader | bytes:
    """Gives a table that was read so that its rows can be read, a group of them at a time where it is large.

    Args:
        store: the bucket of the results.
        facts: what the record says of it.
        table: the same table.

    Raises:
        RunError: it is not there any more, or S3 did not answer.
    """
    if table.content:
        return table.content
    rows = facts.get("rows", 0)  # which records of earlier versions lack
    group_bytes = facts["bytes"] * min(1.0, GROUP_ROWS / max(1, rows))
    return BlockReader(store.open(facts["key"], table.etag), group_bytes)
