"""The table of one rank, put together from its partitions one after another."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lambda_image.data.predictions import Predictions, file_metadata
from lambda_image.data.table_file import write_batches
from lambda_image.data.table_shape import TableShape
from lambda_image.results import table_facts
from lambda_image.statistics import Statistics


@dataclass(frozen=True)
class RankTable:
    """A table as a Parquet file, with what the rank's record says of it."""

    content: bytes
    shape: TableShape
    statistics: Statistics

    @classmethod
    def of(cls, tables: Sequence[Predictions]) -> "RankTable":
        """Puts tables together, in their order."""
        shape, statistics, buffer = TableShape.joined(table.shape() for table in tables), Statistics(), io.BytesIO()
        for table in tables:
            statistics.add(table)
        batches = (table.to_batch(shape) for table in tables if len(table))
        write_batches(buffer, shape.schema(), batches, file_metadata(shape))
        return cls(buffer.getvalue(), shape, statistics)

    def facts(self, key: str) -> dict[str, Any]:
        """Gives what a record says of it, which names it by its key."""
        return table_facts(key, self.content, self.shape)
