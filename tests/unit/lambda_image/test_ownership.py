import json
from collections.abc import Callable

import pytest

from lambda_image.errors import InvalidEvent, RunSuperseded, StorageUnavailable
from lambda_image.ownership import TRIES, RunObjects, owner_of
from lambda_image.storage import ObjectStore
from tests.unit.lambda_image.handlers.fake_s3 import FakeS3
from tests.unit.lambda_image.test_results import manifest

KEY = "results/run-1/predictions/1.parquet"
PATH = "results/run-1"


def objects(s3: FakeS3, execution: str = "run-1") -> RunObjects:
    return RunObjects(ObjectStore("b", client=s3), execution, PATH)  # type: ignore[arg-type]


def owned_by(s3: FakeS3, execution: str, world_size: int = 2) -> None:
    items = [{**item.to_json(), "execution": execution} for item in manifest(world_size)]
    s3.objects[f"{PATH}/manifest.json"] = json.dumps(items).encode()
    s3.metadata[f"{PATH}/manifest.json"] = objects(s3, execution).metadata


def test_what_is_not_there_is_created_by_one_request():
    s3 = FakeS3()
    ours = objects(s3)
    assert ours.put(KEY, b"1", within_run="keep")
    assert (s3.objects[KEY], ours.store.requests.puts, ours.store.requests.heads) == (b"1", 1, 0)


def test_what_the_run_has_written_is_kept_or_replaced_as_is_asked():
    ours = objects(FakeS3())
    ours.put(KEY, b"1", within_run="keep")
    assert ours.put(KEY, b"2", within_run="keep") is None
    assert ours.store.get(KEY) == b"1"
    assert ours.put(KEY, b"2", within_run="replace")
    assert ours.store.get(KEY) == b"2"


def test_what_is_known_is_replaced_by_one_request():
    ours = objects(FakeS3())
    ours.put(KEY, b"1", within_run="keep")
    before = ours.store.requests.puts
    ours.put(KEY, b"2", within_run="replace", known=ours.store.look(KEY))
    assert (ours.store.requests.puts, ours.store.requests.heads) == (before + 1, 0)


@pytest.mark.parametrize("within_run", ["keep", "replace"])
def test_the_owner_replaces_what_another_run_left_and_nobody_else_does(within_run):
    s3 = FakeS3()
    earlier, later = objects(s3, "run-1"), objects(s3, "run-2")
    earlier.put(KEY, b"earlier", within_run="keep")
    owned_by(s3, "run-2")
    assert later.put(KEY, b"later", within_run=within_run)
    with pytest.raises(RunSuperseded, match=r"s3://b/results/run-1/predictions/1.parquet .* belongs to the run run-2"):
        earlier.put(KEY, b"late", within_run=within_run)
    assert s3.objects[KEY] == b"later"


class Busy(FakeS3):
    """Whenever somebody writes, another one does so just before."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: Callable[[], None] = lambda: None

    def put_object(self, **given):  # type: ignore[no-untyped-def]
        self.meanwhile()
        return super().put_object(**given)


def test_a_run_that_loses_the_path_between_its_look_and_its_write_writes_nothing():
    s3 = Busy()
    owned_by(s3, "run-1")
    stranger = objects(s3, "run-0")
    FakeS3.put_object(s3, Key=KEY, Body=b"run-0", Metadata=stranger.metadata)
    calls = []

    def lose() -> None:
        calls.append(1)
        if len(calls) == 2:  # the look is behind it
            owned_by(s3, "run-2")
            FakeS3.put_object(s3, Key=KEY, Body=b"run-2", Metadata=objects(s3, "run-2").metadata)

    s3.meanwhile = lose
    with pytest.raises(RunSuperseded):
        objects(s3).put(KEY, b"run-1", within_run="replace")
    assert s3.objects[KEY] == b"run-2"


def test_a_write_that_always_meets_others_ends():
    s3, count = Busy(), iter(range(1000))
    owned_by(s3, "run-1")
    ours = objects(s3)
    s3.meanwhile = lambda: s3.objects.__setitem__(KEY, b"%d" % next(count))
    s3.metadata[KEY] = ours.metadata
    with pytest.raises(StorageUnavailable, match=f"written by others each of {TRIES} times"):
        ours.put(KEY, b"x", within_run="replace")


def test_a_stray_is_removed_only_where_the_owner_has_no_such_rank():
    s3 = FakeS3()
    for world_size, stays in ((2, True), (1, False)):
        owned_by(s3, "run-2", world_size)
        s3.objects[KEY] = b"late"
        objects(s3).remove_strays([KEY], 1)
        assert (KEY in s3.objects) is stays
    owned_by(s3, "run-1", 1)
    s3.objects[KEY] = b"own"
    objects(s3).remove_strays([KEY], 1)
    assert KEY in s3.objects


def test_the_owner_is_read_from_the_manifest():
    s3 = FakeS3()
    store = objects(s3).store
    assert owner_of(store, PATH) is None
    owned_by(s3, "arn:machine:run-7")
    found = owner_of(store, PATH)
    assert found is not None
    assert (found.run_id, found.world_size) == ("run-7", 2)
    s3.objects[f"{PATH}/manifest.json"] = b"[]"
    with pytest.raises(InvalidEvent, match="not a manifest"):
        owner_of(store, PATH)
