"""Which tables are in memory, and that they come back as they were."""

from collections.abc import Sequence

import numpy as np
import pytest

from lambda_image.data.predictions import Predictions
from lambda_image.data.table_shape import TableShape
from lambda_image.errors import RunSuperseded, StorageUnavailable
from lambda_image.ownership import RunObjects
from lambda_image.partition_tables import PIECE_ROWS, PartitionTables, StretchVersion
from lambda_image.rank_table import RankTable
from lambda_image.storage import ObjectStore
from lambda_image.stretch_file import Finished, encode
from tests.unit.lambda_image.handlers.fake_s3 import FakeS3
from tests.unit.lambda_image.test_stretch_file import part


class Bucket:
    """Tables and the stretches that they leave memory for."""

    def __init__(self, held_bytes: int) -> None:
        self.s3 = FakeS3()
        self.objects = RunObjects(ObjectStore("b", client=self.s3), "run-1", "r")  # type: ignore[arg-type]
        self.tables = PartitionTables(self.objects, held_bytes)

    def finish(self, parts: dict[int, Finished]) -> None:
        """Takes partitions, which one stretch has."""
        for place, one in parts.items():
            self.tables.add(place, one)
        key = f"r/attempts/1/0/{len(self.s3.objects)}.parquet"
        self.objects.store.put(key, encode(parts, "run-1", {"attempt": 0}))
        found = self.objects.store.head(key)
        assert found is not None
        self.tables.written(StretchVersion(key, found.etag), parts)

    def in_memory(self) -> list[int]:
        return [place for place, entry in self.tables._entries.items() if entry.table is not None]


def same(one: Sequence[Predictions], other: Sequence[Predictions]) -> bool:
    return [table.to_parquet() for table in one] == [table.to_parquet() for table in other]


def test_what_there_is_no_room_for_leaves_memory_and_comes_back_in_order():
    parts = {place: part(place, rows=place) for place in range(6)}
    bucket = Bucket(held_bytes=parts[3].table.nbytes)
    bucket.finish({place: parts[place] for place in (4, 5)})
    bucket.finish({place: parts[place] for place in (0, 1, 2)})
    bucket.tables.add(3, parts[3])  # no stretch has it yet
    assert bucket.in_memory() == [0, 1, 2, 3]
    assert list(bucket.tables) == list(range(6))
    assert same(list(bucket.tables.tables()), [parts[place].table for place in range(1, 6)])
    assert [one.rows for one in bucket.tables.parts()] == list(range(6))


def test_one_stretch_is_read_once_and_never_two_are_in_memory():
    bucket = Bucket(held_bytes=0)
    bucket.finish({0: part(0), 1: part(1)})
    bucket.finish({2: part(2)})
    assert len(list(bucket.tables.tables())) == 3
    assert bucket.objects.store.requests.gets == 2


def test_pieces_are_the_same_whether_a_table_left_memory_or_not():
    """Sums over them are then the same to the last bit."""
    parts = {0: part(0, 10), 1: part(1, 2 * PIECE_ROWS + 1), 2: part(2, PIECE_ROWS)}
    held, left = Bucket(held_bytes=1 << 40), Bucket(held_bytes=0)
    for bucket in (held, left):
        bucket.finish(parts)
    assert (held.in_memory(), left.in_memory()) == ([0, 1, 2], [])
    assert same(list(left.tables.tables()), list(held.tables.tables()))
    assert [len(table) for table in left.tables.tables()] == [10, PIECE_ROWS, PIECE_ROWS, 1, PIECE_ROWS]


def test_columns_that_some_partitions_lack_come_back_too():
    """In a stretch all its partitions have the columns of each."""
    ids = [np.arange(2, dtype="i4"), None, np.array([b"a", b"bc"]), np.arange(2, dtype="i8")]
    tables = [
        Predictions.of_partition(
            f"d/{place}",
            0,
            np.zeros((2, 5)),
            np.ones(2),
            None,
            columns={} if values is None else {"id": values},
            redshift_err=np.ones(2) if values is None else None,
        )
        for place, values in enumerate(ids)
    ]
    held, left = Bucket(held_bytes=1 << 40), Bucket(held_bytes=0)
    for bucket in (held, left):
        for places in ((0, 1), (2,), (3,)):
            bucket.finish({place: Finished(tables[place], part(0).work) for place in places})
    contents = [
        RankTable.written(one.tables.tables(), TableShape.joined(one.tables.shapes())).content for one in (held, left)
    ]
    assert contents[0] == contents[1]


def test_a_stretch_that_is_gone_or_another_ends_the_attempt_and_not_the_rank():
    for change in ("removed", "replaced", "damaged"):
        bucket = Bucket(held_bytes=0)
        bucket.finish({0: part(0)})
        (key,) = bucket.s3.objects
        if change == "removed":
            del bucket.s3.objects[key]
        elif change == "replaced":
            bucket.s3.objects[key] = encode({0: part(0, redshift=0.7)}, "run-1", {"attempt": 0})
        else:
            bucket.s3.objects[key] = b"PAR1"
            found = bucket.objects.store.head(key)
            assert found is not None
            bucket.tables.written(StretchVersion(key, found.etag), [0])
        with pytest.raises(StorageUnavailable, match=f"s3://b/{key} was replaced or removed"):
            list(bucket.tables.tables())


def test_where_the_path_has_another_owner_that_is_told(monkeypatch: pytest.MonkeyPatch):
    bucket = Bucket(held_bytes=0)
    bucket.finish({0: part(0)})
    bucket.s3.objects.clear()

    def superseded(key: str) -> None:
        raise RunSuperseded(key)

    monkeypatch.setattr(bucket.objects, "check_owner", superseded)
    with pytest.raises(RunSuperseded):
        list(bucket.tables.tables())
