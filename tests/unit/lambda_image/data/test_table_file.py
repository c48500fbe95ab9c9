import io
from collections.abc import Iterator

import numpy as np
import pytest
from arro3.core import RecordBatch
from pyarrow import parquet

from lambda_image.data.predictions import Predictions
from lambda_image.data.table_file import (
    GROUP_ROWS,
    TableError,
    column_types,
    read_batches,
    read_metadata,
    write_batches,
)

ROWS = 1000


def batch(number: int) -> RecordBatch:
    z = np.random.default_rng(number).random(ROWS)
    table = Predictions.of_partition(
        f"d/{number}.pt", 0, np.zeros((ROWS, 5)), z, z, columns={"name": np.full(ROWS, b"x")}
    )
    return table.to_batch(table.shape())


class Sink:
    """Takes bytes and keeps none of them."""

    written = 0

    def write(self, data: bytes) -> int:
        self.written += len(data)
        return len(data)

    def flush(self) -> None:
        pass

    def seek(self, *_: int) -> int:
        raise OSError

    read = seek


def test_a_group_of_rows_is_written_before_the_next_is_asked_for():
    sink, before = Sink(), []

    def batches() -> Iterator[RecordBatch]:
        for number in range(3 * GROUP_ROWS // ROWS):
            before.append(sink.written)
            yield batch(number)

    write_batches(sink, batch(0).schema, batches())
    group = GROUP_ROWS // ROWS + 1
    assert before[group - 1] < 10_000 < before[group + 1] < before[-1] < sink.written


def written(count: int = 3) -> bytes:
    buffer = io.BytesIO()
    write_batches(buffer, batch(0).schema, map(batch, range(count)), {"a": "b"})
    return buffer.getvalue()


def test_what_is_written_is_read_back_whatever_it_is_read_from():
    data = written()
    for file in (data, io.BytesIO(data)):
        found = list(read_batches(file))
        assert sum(one.num_rows for one in found) == 3 * ROWS
        assert column_types(found[0].schema) == column_types(batch(0).schema)
    assert read_metadata(data)["a"] == "b"


def test_text_is_encoded_by_a_dictionary_and_everything_is_compressed():
    group = parquet.ParquetFile(io.BytesIO(written())).metadata.row_group(0)
    columns = [group.column(place) for place in range(group.num_columns)]
    assert {column.compression for column in columns} == {"ZSTD"}
    encoded = {column.path_in_schema for column in columns if "RLE_DICTIONARY" in column.encodings}
    assert encoded == {"source", "name"}


def test_what_goes_wrong_with_the_rows_is_raised_as_it_is():
    def batches() -> Iterator[RecordBatch]:
        yield batch(0)
        raise KeyError("the second")

    with pytest.raises(KeyError, match="the second"):
        write_batches(io.BytesIO(), batch(0).schema, batches())


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1 or not", bytes(100)])
def test_what_is_no_table_is_refused(data: bytes):
    with pytest.raises(TableError, match="not a table of predictions"):
        list(read_batches(data))
    with pytest.raises(TableError, match="not a table of predictions"):
        read_metadata(data)
