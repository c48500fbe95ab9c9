import dataclasses
import json

import pytest

from lambda_image.errors import InvalidEvent
from lambda_image.events import parse
from lambda_image.manifest import ROOT, Assignment, Run, Slice, assignments
from rendezvous_server import protocol

RUN = Run(
    execution="arn:machine:nightly",
    bucket="b",
    manifest_key="r/manifest.json",
    result_path="r",
    world_size=2,
    tolerated_failures=1,
    started_at=1.5,
    warnings=("script is ignored",),
    deal="files",
)


def test_an_item_of_an_earlier_version_flags_bad_rows():
    request = parse({"bucket": "b", "data_prefix": "d", "on_bad_row": "skip"}, "r")
    (item,) = assignments(request, [[]], "00", 1.5)
    found = item.to_json()
    assert Assignment.from_json(found).on_bad_row == "skip"
    del found["on_bad_row"]
    assert Assignment.from_json(found).on_bad_row == "flag"


def test_an_item_survives_json():
    request = parse({"bucket": "b", "data_prefix": "d", "rendezvous_endpoint": "h:1"}, "r")
    items = list(assignments(request, [[Slice("d/1.pt")], [Slice("d/2.pt", (3, 9), "etag")], []], "00", 1.5))
    assert [item.rank for item in items] == [0, 1, 2]
    assert {item.world_size for item in items} == {3}
    assert [Assignment.from_json(json.loads(json.dumps(item.to_json()))) for item in items] == items
    assert items[0].rendezvous_endpoint == "h:1"


@pytest.mark.parametrize("item", ["text", {}, {"rank": 0, "partitions": []}, {"partitions": 5}])
def test_something_else_than_an_item_is_refused(item):
    with pytest.raises(InvalidEvent, match="manifest"):
        Assignment.from_json(item)


@pytest.mark.parametrize(
    "damage",
    [
        {"execution": None}, {"rank": "0"}, {"world_size": 1.5}, {"started_at": "now"}, {"started_at": float("inf")},
        {"gather_timeout_s": None}, {"result_path": 3}, {"partitions": [{"key": 1, "rows": None, "etag": None}]},
        {"partitions": [{"key": "k", "rows": [1], "etag": None}]}, {"share": {"key": "k", "start": -1, "size": 1}},
        {"share": {"key": "k", "start": 1.5, "size": 1}}, {"share": {"key": None, "start": 0, "size": 1}},
        {"model": {"bucket": "b", "key": 3, "etag": "e"}}, {"time_limit_s": "1"},
        {"gather_width": None},
    ],
    ids=str,
)  # fmt: skip
def test_an_item_with_a_damaged_value_is_refused_by_its_key(damage):
    request = parse({"bucket": "b", "data_prefix": "d"}, "r")
    item = dataclasses.asdict(next(assignments(request, [[]], "00", 0)))
    with pytest.raises(InvalidEvent, match=rf"not an item of a manifest \({next(iter(damage))}"):
        Assignment.from_json({**item, **damage})


def test_an_item_with_a_surprise_is_refused():
    request = parse({"bucket": "b", "data_prefix": "d"}, "r")
    item = dataclasses.asdict(next(assignments(request, [[]], "00", 0)))
    with pytest.raises(InvalidEvent, match="colour"):
        Assignment.from_json({**item, "colour": "red"})


def test_what_init_tells_of_a_run_survives_json():
    text = json.dumps(RUN.to_json())
    assert text == (
        '{"run_id": "nightly", "execution": "arn:machine:nightly", "bucket": "b", "manifest_key": "r/manifest.json", '
        '"result_path": "r", "world_size": 2, "tolerated_failures": 1, "started_at": 1.5, '
        '"warnings": ["script is ignored"], "max_concurrency": 0, "deal": "files"}'
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


def test_the_rank_that_gathers_is_the_one_whom_the_server_introduces_to_all_others():
    """It has a name of its own here, so that a rank need not load the protocol before it joins."""
    assert ROOT == protocol.ROOT
