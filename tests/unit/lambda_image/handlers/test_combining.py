import io

import numpy as np
import pytest
from pyarrow import parquet

from lambda_image.data.predictions import Predictions
from lambda_image.handlers.combining import CombinedTable, write_tables
from lambda_image.ownership import RunObjects
from lambda_image.rank_table import RankTable
from lambda_image.storage import ObjectStore
from tests.unit.lambda_image.handlers.fake_s3 import FakeS3


def table(rank: int, rows: int = 3, **columns: np.ndarray) -> RankTable:
    z = np.full(rows, 0.1 * rank)
    return RankTable.of([Predictions.of_partition(f"d/{rank}", 0, np.zeros((rows, 5)), z, z, columns=columns)])


TABLES = [
    table(0, id=np.arange(3) + 2**60),
    table(1),
    table(2, 0),
    table(3, id=np.array([1, 2, 3], np.int8), name=np.array([b"a", b"bc", b"d"])),
]


def combined(tables: list[RankTable]) -> CombinedTable:
    whole = CombinedTable()
    for place, one in enumerate(tables):
        whole.add({"predictions": one.facts(f"r/predictions/{place}.parquet")})
    return whole


def test_tables_are_joined_as_if_all_had_been_in_memory():
    whole, buffer = combined(TABLES), io.BytesIO()
    write_tables(buffer, whole.shape, [one.content for one in TABLES])
    expected = Predictions.concatenate([Predictions.from_parquet(one.content) for one in TABLES]).to_parquet()
    found = parquet.read_table(io.BytesIO(buffer.getvalue()))
    assert found.equals(parquet.read_table(io.BytesIO(expected)))
    assert found.schema.metadata == parquet.read_table(io.BytesIO(expected)).schema.metadata
    assert found.to_pandas()["id"].dtype == "Int64"  # no id has lost a digit


def test_the_object_says_of_which_tables_it_was_made():
    s3 = FakeS3()
    objects = RunObjects(ObjectStore("b", client=s3), "run-1", "r")  # type: ignore[arg-type]
    whole = combined(TABLES)
    whole.write(objects, "r/predictions.parquet", (one.content for one in TABLES))
    found = objects.store.head("r/predictions.parquet")
    assert whole.is_in(found)
    assert not whole.is_in(None)
    for others in (TABLES[:-1], TABLES[::-1], []):
        assert not combined(others).is_in(found)


def test_what_is_no_table_leaves_no_object():
    s3 = FakeS3()
    objects = RunObjects(ObjectStore("b", client=s3), "run-1", "r")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="not a table"):
        combined(TABLES).write(objects, "r/predictions.parquet", [TABLES[0].content, b"no"])
    assert not s3.objects
