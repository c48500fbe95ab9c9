import dataclasses
import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambda_image.errors import InvalidEvent, PartitionMissing
from lambda_image.events import parse
from lambda_image.manifest import (
    ROOT,
    Assignment,
    Run,
    Slice,
    assignments,
    choose_partitions,
    deal,
    deal_rows,
)
from lambda_image.storage import ObjectInfo
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
)


PLACE = "s3://b/d/"


def listed(*names: str, **sizes: int) -> list[ObjectInfo]:
    """Objects under d/, of 9 bytes where `sizes` has no other; `_1` there stands for 1.pt."""
    empty = {name.replace("_", "") + ".pt": size for name, size in sizes.items()}
    return [
        ObjectInfo(f"d/{name}", size, f"etag of {name}") for name, size in (dict.fromkeys(names, 9) | empty).items()
    ]


def test_partitions_are_chosen_by_suffix_in_natural_order():
    found = listed("10.PT", "2.pt", "3.safetensors")
    chosen = [Slice(f"d/{name}", etag=f"etag of {name}") for name in ("2.pt", "3.safetensors", "10.PT")]
    assert choose_partitions(found, "d/", PLACE, None) == (chosen, [])
    assert choose_partitions(found, "d/", PLACE, 2) == (chosen[:2], [])


def test_what_is_not_a_partition_is_left_out_with_a_warning():
    found = listed("1.pt", "._1.pt", ".DS_Store", "readme.txt", "old/", "")  # the last as consoles of S3 make a folder
    partitions, (warning,) = choose_partitions(found, "d/", PLACE, None)
    assert [part.key for part in partitions] == ["d/1.pt"]
    assert warning == (
        "2 hidden files (._1.pt, .DS_Store), 1 folder (old/) and 1 file of another kind (readme.txt) in s3://b/d/ "
        "are not read"
    )


def test_an_object_without_bytes_is_left_out_with_a_warning_that_names_it():
    partitions, (warning,) = choose_partitions(listed("1.pt", "3.pt", _2=0), "d/", PLACE, None)
    assert [part.key for part in partitions] == ["d/1.pt", "d/3.pt"]
    assert warning == "1 of 3 partitions in s3://b/d/ have 0 bytes and no galaxies: 2.pt"
    with pytest.raises(PartitionMissing, match=r"all partitions in s3://b/d/ have 0 bytes \(1\.pt, 2\.pt\)"):
        choose_partitions(listed(_1=0, _2=0), "d/", PLACE, None)


def test_a_gap_in_the_numbers_that_are_used_is_a_warning():
    found = listed("1.pt", "3.pt", "4.pt", "6.pt")
    assert choose_partitions(found, "d/", PLACE, None).warnings == [
        "2 and 5 are missing between 1 and 6 among the numbers of the partitions in s3://b/d/"
    ]
    assert choose_partitions(found, "d/", PLACE, 1).warnings == []


def test_the_root_of_a_bucket_is_a_place_of_partitions():
    found = [ObjectInfo("2.pt", 9, "e"), ObjectInfo("results/", 0, "")]
    partitions, (warning,) = choose_partitions(found, "", "s3://b/", None)
    assert partitions == [Slice("2.pt", etag="e")]
    assert warning == "1 folder (results/) in s3://b/ is not read"


@pytest.mark.parametrize(
    ("names", "words"), [([], r"safetensors: upload"), (["readme.txt", "old/"], r"1 folder \(old/\) and 1 file")]
)
def test_no_partitions(names, words):
    with pytest.raises(PartitionMissing, match=words) as raised:
        choose_partitions(listed(*names), "d/", PLACE, None)
    assert str(raised.value).startswith("no object in s3://b/d/ ends in .pt, .pth, .safetensors")


def test_objects_of_the_fields_formats_are_refused_with_the_command_that_imports_them():
    with pytest.raises(
        PartitionMissing, match=r"data_prefix; `cosmicai import FILES --out partitions/` makes .* \.fits"
    ):
        choose_partitions(listed("a.fits", "b.fits", "readme.txt"), "d/", PLACE, None)


def test_an_item_of_an_earlier_version_flags_bad_rows():
    request = parse({"bucket": "b", "data_prefix": "d", "on_bad_row": "skip"}, "r")
    (item,) = assignments(request, [[]], "00", 1.5)
    found = item.to_json()
    assert Assignment.from_json(found).on_bad_row == "skip"
    del found["on_bad_row"]
    assert Assignment.from_json(found).on_bad_row == "flag"


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


@pytest.mark.parametrize(
    "damage",
    [
        {"execution": None}, {"rank": "0"}, {"world_size": 1.5}, {"started_at": "now"}, {"started_at": float("inf")},
        {"gather_timeout_s": None}, {"result_path": 3}, {"partitions": [{"key": 1, "rows": None, "etag": None}]},
        {"partitions": [{"key": "k", "rows": [1], "etag": None}]}, {"share": {"key": "k", "start": -1, "size": 1}},
        {"share": {"key": "k", "start": 1.5, "size": 1}}, {"share": {"key": None, "start": 0, "size": 1}},
        {"model": {"bucket": "b", "key": 3, "etag": "e"}}, {"time_limit_s": "1"},
    ],
    ids=str,
)  # fmt: skip
def test_an_item_with_a_damaged_value_is_refused_by_its_key(damage):
    request = parse({"bucket": "b", "data_prefix": "d"}, "r")
    item = dataclasses.asdict(assignments(request, [[]], "00", 0)[0])
    with pytest.raises(InvalidEvent, match=rf"not an item of a manifest \({next(iter(damage))}"):
        Assignment.from_json({**item, **damage})


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
        '"warnings": ["script is ignored"], "max_concurrency": 0}'
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
