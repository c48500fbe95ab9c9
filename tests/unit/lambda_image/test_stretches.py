import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from lambda_image import stretches
from lambda_image.errors import RunSuperseded, StorageUnavailable
from lambda_image.manifest import Slice, stretch_key
from lambda_image.ownership import RunObjects
from lambda_image.partition_tables import HELD_BYTES, PartitionTables
from lambda_image.storage import ObjectStore
from lambda_image.stretch_file import decode, encode
from lambda_image.stretches import StretchWriter
from tests.unit.lambda_image.handlers.fake_s3 import FakeS3
from tests.unit.lambda_image.test_results import manifest
from tests.unit.lambda_image.test_stretch_file import part

ITEM = replace(manifest()[1], partitions=tuple(Slice(f"d/{number}.pt") for number in range(5)))
PATIENCE_S = 30.0


def stretch(*places: int, execution: str = "run-1", attempt: int = 0, redshift: float = 0.5) -> bytes:
    return encode({place: part(place, redshift=redshift) for place in places}, execution, {"attempt": attempt})


def objects_of(s3: FakeS3) -> RunObjects:
    return RunObjects(ObjectStore("b", client=s3), "run-1", ITEM.result_path)  # type: ignore[arg-type]


def bucket(contents: Mapping[tuple[int, int], bytes]) -> FakeS3:
    s3 = FakeS3()
    for (attempt, number), content in contents.items():
        s3.objects[stretch_key(ITEM.result_path, 1, attempt, number)] = content
    return s3


def read(s3: FakeS3, held_bytes: int = HELD_BYTES) -> tuple[PartitionTables, Mapping[str, Any]]:
    tables = PartitionTables(objects_of(s3), held_bytes)
    return tables, stretches.read_into(tables, ITEM)


@pytest.mark.parametrize("held_bytes", [HELD_BYTES, 0])
def test_each_partition_is_taken_from_one_stretch(held_bytes: int):
    contents = {(0, 0): stretch(0, 1), (0, 1): stretch(2), (1, 0): stretch(1, 2, 3, attempt=1, redshift=0.7)}
    tables, facts = read(bucket(contents), held_bytes)
    assert list(tables) == [0, 1, 2, 3]
    assert [one.redshift[0] for one in tables.tables()] == pytest.approx([0.5, 0.5, 0.5, 0.7])
    assert facts == {"attempt": 1}


def test_what_an_earlier_run_left_does_not_count():
    for contents in ({(0, 0): stretch(0, execution="run-0"), (0, 1): b"?"}, {}):
        tables, facts = read(bucket(contents))
        assert (len(tables), facts) == (0, {})


def writer(s3: FakeS3, log: Any = print) -> StretchWriter:
    return StretchWriter(objects_of(s3), ITEM, lambda: 2, lambda: {"attempt": 2}, log)


class Telling(FakeS3):
    def __init__(self) -> None:
        super().__init__()
        self.written = threading.Event()

    def put_object(self, **given: Any) -> dict[str, str]:
        answer = super().put_object(**given)
        self.written.set()
        return answer


def test_what_is_finished_is_written_while_the_rank_works_on(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stretches, "SAVE_AFTER_S", 0.01)
    s3 = Telling()
    writing = writer(s3)
    writing.add(0, part(0))
    assert s3.written.wait(PATIENCE_S)
    writing.end()
    assert list(s3.objects) == [stretch_key(ITEM.result_path, 1, 2, 0)]


def test_a_rank_that_ends_soon_writes_nothing():
    s3 = FakeS3()
    writing = writer(s3)
    writing.add(0, part(0))
    writing.end()
    assert s3.objects == {}


def test_what_waits_is_written_at_the_end_of_a_rank_that_fails():
    s3 = FakeS3()
    writing = writer(s3)
    writing.add(0, part(0))
    writing.add(1, part(1))
    writing.flush()
    writing.flush()
    writing.add(2, part(2))
    writing.flush()
    writing.end()
    kept = [decode(content, "run-1") for content in s3.objects.values()]
    assert [list(one.finished) for one in kept if one] == [[0, 1], [2]]


def test_what_could_not_be_written_waits_for_the_next_time():
    class Failing(FakeS3):
        fails = True

        def put_object(self, **given: Any) -> dict[str, str]:
            if self.fails:
                raise self._refusal("SlowDown", 503)
            return super().put_object(**given)

    s3 = Failing()
    writing = writer(s3)
    writing.add(0, part(0))
    with pytest.raises(StorageUnavailable):
        writing.flush()
    s3.fails = False
    writing.flush()
    writing.end()
    assert len(s3.objects) == 1


def test_a_run_that_was_superseded_is_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stretches, "SAVE_AFTER_S", 0.01)
    writing = writer(FakeS3())
    asked = threading.Event()

    def superseded(*_: object, **__: object) -> None:
        asked.set()
        raise RunSuperseded("it belongs to another run")

    monkeypatch.setattr(writing._objects, "put", superseded)
    writing.add(0, part(0))
    assert asked.wait(PATIENCE_S)
    assert writing._thread is not None
    writing._thread.join(PATIENCE_S)
    assert isinstance(writing.error, RunSuperseded)


def test_a_rank_waits_where_too_much_is_not_written_yet(monkeypatch: pytest.MonkeyPatch):
    """And what has been written counts no more, so that each stretch has about as much."""
    monkeypatch.setattr(stretches, "WAITING_BYTES", 2 * part(0).table.nbytes)
    s3, told = FakeS3(), []
    writing = writer(s3)
    writing._written = lambda stretch, places: told.append((stretch.key, list(places)))
    for place in range(5):
        writing.add(place, part(place))
    writing.end()
    assert told == [(stretch_key(ITEM.result_path, 1, 2, 0), [0, 1, 2])]
    assert list(s3.objects) == [told[0][0]]


def test_a_rank_that_may_not_go_on_without_s3_says_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stretches, "WAITING_BYTES", 0)

    class Failing(FakeS3):
        def put_object(self, **given: Any) -> dict[str, str]:
            raise self._refusal("SlowDown", 503)

    writing = writer(Failing())
    with pytest.raises(StorageUnavailable):
        writing.add(0, part(0))
    writing.end()
