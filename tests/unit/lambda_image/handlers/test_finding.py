from typing import Any

import pytest

from lambda_image.errors import InvalidEvent
from lambda_image.events import MAX_WORLD_SIZE, parse
from lambda_image.handlers.finding import Dealt, find_data, find_model
from lambda_image.storage import ObjectStore
from tests.unit.lambda_image.handlers.fake_s3 import FakeS3


def found(sizes: list[int], **given: Any) -> Dealt:
    s3 = FakeS3()
    s3.objects = {f"d/{number}.pt": bytes(size) for number, size in enumerate(sizes, 1)}
    store = ObjectStore("b", client=s3)  # type: ignore[arg-type]
    return find_data(parse({"bucket": "b", "data_prefix": "d", **given}, "run-1"), store)


def keys(dealt: Dealt) -> list[list[str]]:
    return [[part.key for part in share] for share in dealt.shares]


SKEWED = [10, 10, 10, 70, 10, 10]


def test_partitions_that_differ_are_dealt_by_bytes_and_that_is_said():
    dealt = found(SKEWED, world_size=2)
    assert keys(dealt) == [["d/1.pt", "d/2.pt", "d/3.pt"], ["d/4.pt", "d/5.pt", "d/6.pt"]]
    assert (dealt.by, dealt.said, dealt.sizes) == ("files", "", [30, 90])
    dealt = found(SKEWED, world_size=3)
    assert keys(dealt) == [["d/1.pt", "d/2.pt", "d/3.pt"], ["d/4.pt"], ["d/5.pt", "d/6.pt"]]
    assert (dealt.by, dealt.sizes) == ("bytes", [30, 70, 20])
    assert dealt.said.startswith("the partitions are dealt by bytes. By files the largest share would have 1.14 times")


def test_the_input_decides_how_they_are_dealt():
    assert keys(found(SKEWED, world_size=3, deal="files"))[1] == ["d/3.pt", "d/4.pt"]
    assert found(SKEWED, world_size=3, deal="files").said.startswith("the partitions are dealt by files")
    assert found([5] * 6, world_size=3, deal="bytes").by == "bytes"
    assert found([5] * 6, world_size=3).by == "files"


def test_more_partitions_than_ranks_may_be_are_dealt_to_as_many_as_there_may_be():
    dealt = found([1] * (MAX_WORLD_SIZE + 1))
    assert len(dealt.shares) == MAX_WORLD_SIZE
    assert dealt.warnings == ["10,001 partitions are dealt to 10,000 ranks, which are the most of a run"]
    assert found([1] * 3).warnings == []


def test_weights_that_are_not_there_are_named():
    store = ObjectStore("b", client=FakeS3())  # type: ignore[arg-type]
    request = parse({"bucket": "b", "data_prefix": "d", "model_path": "m.pt"}, "run-1")
    with pytest.raises(InvalidEvent, match=r"s3://b/m\.pt, which model_path names, does not exist"):
        find_model(request, store)
    assert find_model(parse({"bucket": "b", "data_prefix": "d"}, "run-1"), store) is None
