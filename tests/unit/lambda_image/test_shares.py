import io
import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambda_image.errors import InvalidEvent
from lambda_image.events import parse
from lambda_image.manifest import Assignment, ModelObject, Run, Slice, assignments
from lambda_image.shares import (
    ITEM_LIMIT,
    begun_run,
    complete,
    complete_all,
    item_bytes,
    share_key,
    withhold,
)
from lambda_image.storage import ObjectStore
from tests.unit.lambda_image.handlers.fake_s3 import FakeS3
from tests.unit.lambda_image.test_results import manifest

KEY = "r/" + share_key("0a")
RUN = Run("arn:e:run-1", "b", "r/manifest.json", "r", 1, 0, 1.5, ("a warning",), 0, "files")


def parted(items: Iterable[Assignment], **given: Any) -> tuple[list[dict[str, Any]], bytes]:
    """The items of the manifest, and the content of the shares."""
    out = io.BytesIO()
    return withhold(items, share_key("0a"), out, **given), out.getvalue()


def stored(items: list[Assignment], **given: Any) -> tuple[list[Assignment], FakeS3, ObjectStore]:
    """The items as a rank gets them, and the bucket with their shares."""
    s3 = FakeS3()
    found, s3.objects[KEY] = parted((replace(item, result_path="r") for item in items), **given)
    store = ObjectStore("b", client=s3, missing=InvalidEvent)  # type: ignore[arg-type]
    return [Assignment.from_json(json.loads(json.dumps(item))) for item in found], s3, store


def test_an_item_holds_neither_key_nor_partitions_and_has_one_size_whatever_a_rank_has() -> None:
    one = replace(manifest(1)[0], partitions=(Slice("d/0.pt", etag="e" * 32),))
    many = replace(one, partitions=tuple(Slice(f"d/{n}.pt", etag="e" * 32) for n in range(5000)))
    (item,), content = parted([many], sizes=[7])
    text = json.dumps(item)
    assert many.run_key not in text
    assert "d/0.pt" not in text
    assert many.run_key.encode() in content
    assert (item["share"]["partitions"], item["share"]["partition_bytes"]) == (5000, 7)
    assert item_bytes(item) - item_bytes(parted([one], sizes=[7])[0][0]) < 10  # the digits of two counts


@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"], exclude_characters="/."), min_size=1))
def test_an_item_has_a_kilobyte_at_most_whatever_the_names_are(path: str) -> None:
    arn = f"arn:aws-us-gov:states:us-gov-west-1:123456789012:execution:{'m' * 80}:{'x' * 80}"
    long = {"data_prefix": "d" * 900, "rendezvous_endpoint": f"{'h' * 240}:65535", "model_path": "m" * 900}
    path = (path.strip() or "x") * 300
    most = max(length for length in range(1, 257) if len(json.dumps(path[:length], ensure_ascii=False).encode()) <= 258)
    given_input = {"bucket": "b" * 63, "result_path": path[:most].strip(), "gather_timeout_s": 839.1234, **long}
    request = parse(given_input, arn)
    with pytest.raises(InvalidEvent, match="at most 256 bytes"):
        parse({**given_input, "result_path": "x" + "é" * 128}, arn)
    share = [Slice("k" * 900, etag="e" * 40)] * 3
    model = ModelObject("b" * 63, "m" * 900, "e" * 40)
    (item,) = assignments(request, [share], "00" * 32, 1796000000.123456, 86_400.5, model)
    last = replace(item, rank=9_999, world_size=10_000)
    out = io.BytesIO()
    (item,) = withhold([last], share_key("0" * 16), out, sizes=[10**15])
    item["share"]["start"] = 10**12
    assert item_bytes(item) <= ITEM_LIMIT


def test_an_item_that_would_be_larger_is_refused() -> None:
    with pytest.raises(InvalidEvent, match=r"item of the manifest would have .* 1,024 are allowed: give a shorter"):
        parted([replace(manifest(1)[0], bucket="b" * 900)])


def test_the_run_as_init_told_it_comes_before_the_shares() -> None:
    found, s3, store = stored(manifest(2), run=RUN)
    assert begun_run(found[0], store) == RUN
    assert complete(found[1], store).rank == 1
    for damage in (b"{}", b"[]", b'{"run": 5}'):
        s3.objects[KEY] = damage + b" " * 400 + s3.objects[KEY][400:]
        assert begun_run(found[0], store) is None
    found, _, store = stored(manifest(2))
    assert begun_run(found[0], store) is None


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
