import json
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from lambda_image.errors import InvalidEvent
from lambda_image.handlers.left_behind import (
    Collector,
    all_parts_came,
    described_statistics,
    gathered_records,
    own_record,
)
from lambda_image.manifest import predictions_key, result_key, stretch_key
from lambda_image.ownership import RunObjects
from lambda_image.results import combined_data, combined_line
from lambda_image.storage import ObjectStore
from tests.unit.lambda_image.handlers.fake_s3 import FakeS3
from tests.unit.lambda_image.handlers.test_summarize import PATH, RUN, record, written
from tests.unit.lambda_image.test_results import manifest

ITEM = manifest(3)[1]


def collect(s3: FakeS3, gathered: dict[int, bytes] | None = None, damaged: dict[int, str] | None = None, **given: Any):
    objects = RunObjects(ObjectStore("b", client=s3), RUN.execution, PATH)  # type: ignore[arg-type]
    return Collector(objects, gathered, damaged or {}, **given).collect(ITEM)


def gathered(**changes: object) -> dict[int, bytes]:
    return {1: combined_line({**record(ITEM, "punched"), **changes}) or b""}


def test_no_table_is_read_of_a_rank_whose_record_says_enough():
    s3 = written(1)
    del s3.objects[predictions_key(PATH, 1)]
    left = collect(s3)
    assert left.record is not None
    assert (left.record["transport"], left.failure) == ("storage", None)
    assert left.statistics.accuracy.accuracy().samples == 3


@pytest.mark.parametrize("lacking", ["statistics", "rows", "both"])
def test_what_a_record_of_an_earlier_version_does_not_say_is_found_in_the_table(lacking: str):
    s3, own = written(1), record(ITEM)
    expected = own["statistics"]
    if lacking != "rows":
        del own["statistics"]
    if lacking != "statistics":
        own["predictions"] = {name: own["predictions"][name] for name in ("key", "bytes", "blake2b")}
    s3.objects[result_key(PATH, 1)] = json.dumps(own).encode()
    left = collect(s3)
    assert left.record is not None
    assert (left.record["statistics"], left.record["predictions"]) == (expected, record(ITEM)["predictions"])


def elsewhere(lacking: str) -> FakeS3:
    """A rank whose attempt that counts found the place of its table taken, and whose record lacks something."""
    s3, own = written(1), record(ITEM)
    own["predictions"]["key"] = stretch_key(PATH, 1, 1, 0)
    own.pop(lacking, None)
    s3.objects[own["predictions"]["key"]] = s3.objects.pop(predictions_key(PATH, 1))
    s3.objects[result_key(PATH, 1)] = json.dumps(own).encode()
    return s3


@pytest.mark.parametrize("lacking", ["nothing", "statistics"])
def test_a_table_that_is_too_large_for_memory_is_copied_and_read_as_a_small_one_is(lacking: str):
    small, large = elsewhere(lacking), elsewhere(lacking)
    one, other = collect(large, held_bytes=400), collect(small)
    assert (one.record, one.failure, one.finished) == (other.record, other.failure, other.finished)
    assert one.statistics.to_json() == other.statistics.to_json()
    assert large.objects == small.objects
    assert predictions_key(PATH, 1) in large.objects


def test_an_s3_that_is_lost_while_a_large_table_is_read_is_no_damage():
    s3, asked = elsewhere("statistics"), Counter[str]()
    get = s3.get_object

    def lost(*, Key: str, **given: Any) -> dict[str, Any]:  # noqa: N803
        asked[Key] += 1
        if asked[Key] > 2 and Key == stretch_key(PATH, 1, 1, 0):  # it was judged and copied before
            raise s3._refusal("AccessDenied", 403)
        return get(Key=Key, **given)

    s3.get_object = lost  # type: ignore[method-assign]
    with pytest.raises(InvalidEvent, match="access to"):
        collect(s3, held_bytes=400)


def test_the_gathered_record_tells_the_transport_and_the_own_one_what_came_later():
    s3 = written(1)
    own = {**record(ITEM), "phases": {**record(ITEM)["phases"], "gather_s": 9.0}, "nat": "later"}
    s3.objects[result_key(PATH, 1)] = json.dumps(own).encode()
    left = collect(s3, gathered())
    assert left.record is not None
    assert (left.record["transport"], left.record["phases"]["gather_s"], left.record["nat"]) == ("punched", 9.0, None)


@pytest.mark.parametrize("others", [None, {}], ids=["nothing gathered", "of an earlier run"])
def test_a_rank_tells_its_own_transport_where_all_parts_came_and_no_record_travelled(others: dict[int, bytes] | None):
    left = collect(written(1), others, all_came=True)
    assert left.record == record(ITEM)
    assert left.record["transport"] == "direct"


def test_another_attempts_record_than_the_gathered_one_came_by_storage_though_all_parts_came():
    other = {**record(ITEM)["predictions"], "blake2b": "0" * 32}
    left = collect(written(1), gathered(predictions=other), all_came=True)
    assert left.record is not None
    assert left.record["transport"] == "storage"


@pytest.mark.parametrize(
    ("changes", "all_came"),
    [({}, True), ({"transport": "storage"}, False), ({"error": "it failed"}, False), ({"execution": "run-0"}, False)],
)
def test_the_root_says_whether_every_part_came(changes: dict[str, object], all_came: bool):
    s3, item = written(0, 1, 2), replace(ITEM, gather_root=2)
    store = ObjectStore("b", client=s3, missing=InvalidEvent)  # type: ignore[arg-type]
    assert not all_parts_came(store, item)
    s3.objects[result_key(PATH, 2)] = json.dumps({**record(manifest(3)[2], "self"), **changes}).encode()
    assert all_parts_came(store, item) == all_came
    assert not all_parts_came(store, ITEM)  # rank 0 says nothing of it
    del s3.objects[result_key(PATH, 2)]
    assert not all_parts_came(store, item)


def test_a_gathered_record_counts_alone_where_the_rank_died_while_it_wrote_its_own():
    s3 = written(1)
    s3.objects[result_key(PATH, 1)] = b"{"
    left = collect(s3, gathered())
    assert left.record is not None
    assert left.statistics.accuracy.accuracy().samples == 3  # from the table, as what is gathered has no sketch


def test_a_table_that_is_known_to_be_damaged_does_not_count():
    left = collect(written(1), gathered(), {1: "it is not what was written"})
    assert left.record is None
    assert left.failure is not None
    assert left.failure.cause == "it is not what was written"


@pytest.mark.parametrize("lost", ["sums", "sketch", "samples"])
def test_statistics_that_lack_something_are_none(lost: str):
    content = record(ITEM)
    assert described_statistics(content) is not None
    del content["statistics"]["accuracy"][lost]
    assert described_statistics(content) is None


def test_a_rank_says_itself_what_it_wrote():
    s3 = written(1)
    store = ObjectStore("b", client=s3)  # type: ignore[arg-type]
    assert own_record(store, ITEM) == record(ITEM)
    assert own_record(store, manifest(3)[0]) == "was not written"


@pytest.mark.parametrize(
    "content", [b"{", b"", b"[]\n[]", b"[\n{}\n]", b'[{"rank": 0}]', b'[\n{"rank": 0},\n{"rank": 0}\n]', b"[\n3\n]"]
)
def test_what_rank_0_has_not_written_is_no_gather(content: bytes):
    s3 = FakeS3()
    s3.objects["k"] = content
    there, records = gathered_records(ObjectStore("b", client=s3), "k")  # type: ignore[arg-type]
    assert (there is not None, records) == (True, None)


def test_what_was_gathered_is_told_apart_by_rank():
    s3 = FakeS3()
    store = ObjectStore("b", client=s3)  # type: ignore[arg-type]
    assert gathered_records(store, "k") == (None, None)
    lines = [combined_line(record(item)) for item in manifest(3)]
    s3.objects["k"] = b"".join(combined_data(lines))
    assert gathered_records(store, "k")[1] == dict(enumerate(lines))
    s3.objects["k"] = b"".join(combined_data([]))
    assert gathered_records(store, "k")[1] == {}
