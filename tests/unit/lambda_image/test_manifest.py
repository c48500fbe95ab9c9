import dataclasses
import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambda_image.errors import InvalidEvent, PartitionMissing
from lambda_image.events import parse
from lambda_image.manifest import (
    Assignment,
    Run,
    Slice,
    assignments,
    choose_partitions,
    deal,
    deal_rows,
    natural_order,
)

RUN = Run(
    execution="arn:machine:nightly",
    bucket="b",
    manifest_key="r/manifest.json",
    result_path="r",
    world_size=2,
    tolerated_failures=1,
    started_at=1.5,
    warnings=("script is ignored",),
)


def test_numbers_in_names_order_as_numbers():
    names = ["10.pt", "2.pt", "1.pt", "a10b2.pt", "a2b10.pt", "b.pt"]
    assert sorted(names, key=natural_order) == ["1.pt", "2.pt", "10.pt", "a2b10.pt", "a10b2.pt", "b.pt"]


def test_partitions_are_chosen_by_suffix_in_natural_order():
    etags = {"d/10.PT": "a", "d/2.pt": "b", "d/readme.txt": "c", "d/3.safetensors": "d"}
    chosen = [Slice("d/2.pt", etag="b"), Slice("d/3.safetensors", etag="d"), Slice("d/10.PT", etag="a")]
    assert choose_partitions(etags, "d", None) == chosen
    assert choose_partitions(etags, "d", 2) == chosen[:2]


@pytest.mark.parametrize(("keys", "words"), [({}, "no object"), ({"d/readme.txt": "c"}, "1 objects, none of them")])
def test_no_partitions(keys, words):
    with pytest.raises(PartitionMissing, match=words) as raised:
        choose_partitions(keys, "s3://b/d", None)
    assert "s3://b/d/" in str(raised.value)


@given(st.integers(0, 200), st.integers(1, 40))
def test_dealing_keeps_order_and_is_even(count, world_size):
    shares = deal(range(count), world_size)
    assert len(shares) == world_size
    assert list(itertools.chain(*shares)) == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@given(st.integers(1, 500), st.integers(1, 40))
def test_dealing_rows_covers_the_dataset_once(rows, world_size):
    slices = list(itertools.chain(*deal_rows("k", "etag", rows, world_size)))
    assert [row for part in slices for row in range(*part.rows)] == list(range(rows))
    assert len(slices) == min(rows, world_size)


def test_an_item_survives_json():
    request = parse({"bucket": "b", "data_prefix": "d", "rendezvous_endpoint": "h:1"}, "r")
    items = assignments(request, [[Slice("d/1.pt")], [Slice("d/2.pt", (3, 9), "etag")], []], "00", 1.5)
    assert [item.rank for item in items] == [0, 1, 2]
    assert {item.world_size for item in items} == {3}
    assert [Assignment.from_json(json.loads(json.dumps(item.to_json()))) for item in items] == items
    assert items[0].rendezvous_endpoint == "h:1"


@pytest.mark.parametrize("item", ["text", {}, {"rank": 0, "partitions": []}, {"partitions": 5}])
def test_something_else_than_an_item_is_refused(item):
    with pytest.raises(InvalidEvent, match="manifest"):
        Assignment.from_json(item)


def test_an_item_with_a_surprise_is_refused():
    request = parse({"bucket": "b", "data_prefix": "d"}, "r")
    item = dataclasses.asdict(assignments(request, [[]], "00", 0)[0])
    with pytest.raises(InvalidEvent, match="colour"):
        Assignment.from_json({**item, "colour": "red"})


def test_what_init_tells_of_a_run_survives_json():
    text = json.dumps(RUN.to_json())
    assert text == (
        '{"run_id": "nightly", "execution": "arn:machine:nightly", "bucket": "b", "manifest_key": "r/manifest.json", '
        '"result_path": "r", "world_size": 2, "tolerated_failures": 1, "started_at": 1.5, '
        '"warnings": ["script is ignored"]}'
    )
    assert Run.from_json(json.loads(text)) == RUN
    whole = {**RUN.to_json(), "started_at": 100}  # as a state machine may write 100.0
    assert Run.from_json(whole).started_at == 100.0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"bucket": None}, "bucket"),
        ({"bucket": 3, "started_at": "noon"}, "bucket, started_at"),
        ({"tolerated_failures": True}, "tolerated_failures"),
        ({"warnings": "one"}, "warnings"),
        ({"warnings": [1]}, "warnings"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_something_else_than_a_run_is_refused_by_its_keys(changes, words):
    with pytest.raises(InvalidEvent, match=rf"not what Init returns \({words}\): .* invoked by the state machine"):
        Run.from_json({**RUN.to_json(), **changes})


@pytest.mark.parametrize("found", [None, [1], "text", {}])
def test_something_else_than_a_run_is_refused(found):
    with pytest.raises(InvalidEvent, match="invoked by the state machine"):
        Run.from_json(found)
