import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from lambda_image.errors import InvalidEvent
from lambda_image.manifest import Assignment, Slice
from lambda_image.shares import complete, complete_all, share_key, withhold
from lambda_image.storage import ObjectStore
from tests.unit.lambda_image.handlers.fake_s3 import FakeS3
from tests.unit.lambda_image.test_results import manifest

KEY = share_key("r", "0a")


def stored(items: list[Assignment]) -> tuple[list[Assignment], FakeS3, ObjectStore]:
    """The items as a rank gets them, and the bucket with their shares."""
    s3 = FakeS3()
    found, s3.objects[KEY] = withhold(items, KEY)
    store = ObjectStore("b", client=s3, missing=InvalidEvent)  # type: ignore[arg-type]
    return [Assignment.from_json(json.loads(json.dumps(item))) for item in found], s3, store


def test_an_item_holds_neither_key_nor_partitions_and_is_small_whatever_a_rank_has() -> None:
    many = replace(manifest(1)[0], partitions=tuple(Slice(f"d/{n}.pt", etag="e" * 32) for n in range(5000)))
    found, content = withhold([many], KEY)
    text = json.dumps(found)
    assert many.run_key not in text
    assert "d/0.pt" not in text
    assert len(text) < 1000
    assert many.run_key.encode() in content


@pytest.mark.parametrize("world_size", [1, 3, 50])
def test_every_rank_gets_its_own_share_back(world_size: int) -> None:
    items = manifest(world_size)
    found, _, store = stored(items)
    for one, item in zip(found, items, strict=True):
        whole = complete(one, store)
        assert (whole.run_key, whole.partitions, whole.rank) == (item.run_key, item.partitions, item.rank)
    assert [whole.partitions for whole in complete_all(found, store)] == [item.partitions for item in items]


def test_an_assignment_that_is_complete_needs_no_bucket() -> None:
    (item,) = manifest(1)
    store = ObjectStore("b", client=FakeS3(), missing=InvalidEvent)  # type: ignore[arg-type]
    assert complete(item, store) is item


@pytest.mark.parametrize(
    "damage",
    [lambda content: content[:-5], lambda content: b"x" * 9 + content, lambda content: bytes(len(content))],
    ids=["cut", "moved", "zeros"],
)
def test_a_share_that_is_another_ones_is_refused(damage: Callable[[bytes], bytes]) -> None:
    found, s3, store = stored(manifest(2))
    s3.objects[KEY] = damage(s3.objects[KEY])
    with pytest.raises(InvalidEvent, match=f"s3://b/{KEY}, bytes .* is not the share of rank 1"):
        complete(found[1], store)


def test_a_share_that_is_gone_is_named() -> None:
    found, s3, store = stored(manifest(1))
    del s3.objects[KEY]
    with pytest.raises(InvalidEvent, match=KEY):
        complete(found[0], store)
