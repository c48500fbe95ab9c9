import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from lambda_image.data.distribution_parts import DistributionParts
from lambda_image.data.distributions import SCORES
from lambda_image.handlers.combining import CombinedTable
from lambda_image.handlers.left_behind import described_statistics
from lambda_image.record_shape import CLAIM, OPTIONAL, RECORD, is_sound
from lambda_image.results import combined_line
from lambda_image.summary import Judgement
from tests.unit.lambda_image.handlers.test_summarize import facts, told
from tests.unit.lambda_image.handlers.test_summarize import record as written
from tests.unit.lambda_image.test_register import FakeS3, register
from tests.unit.lambda_image.test_results import manifest, record

BAD: tuple[Any, ...] = (
    None,
    -1,
    1.5,
    "x",
    "é\ud800",
    [],
    {},
    True,
    10**30,
    float("nan"),
    float("inf"),
    [[]],
    {"a": []},
)


def sound() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(json.dumps(written(manifest(3)[1])))
    content["rows"] |= {"flags": {"image_bad": 1}, "first": {"image_bad": ["d/1.pt", 4]}}
    parts = DistributionParts()
    parts.add((0.3 + 0.02 * SCORES)[None].astype(np.float32), np.array([0.31], np.float32))
    content["distributions"] = {"key": "r/quantiles/1.parquet", "bytes": 9, "parts": parts.to_json()}
    return content


def places(value: object, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, content in inner:
        yield (*path, key)
        yield from places(content, (*path, key))


def test_what_ranks_write_is_sound() -> None:
    assert is_sound(sound())
    assert is_sound(record(1))
    item = manifest(2)[0]
    s3 = FakeS3()
    register(s3).claim(0)
    (claim,) = (json.loads(content) for key, content in s3.objects.items() if key.endswith("/1.json"))
    assert is_sound(claim)
    assert claim.keys() >= CLAIM.keys() | {"tries", "token"}
    assert RECORD.keys() <= record(1).keys()
    assert OPTIONAL.keys() <= record(1).keys() | claim.keys()
    assert item.rank == 0


def test_what_counts_as_sound_can_be_summarised_whatever_stands_in_it() -> None:
    """Each value in turn is another one, or is not there."""
    whole, items = sound(), manifest(3)
    unspoiled, as_told = json.dumps(whole), json.dumps((facts(items[1]), told(items[1])))
    seen = {True: 0, False: 0}
    for path in set(places(whole)) - {("rank",), ("execution",)}:  # by which it belongs to the rank
        for bad in (*BAD, "LEFT OUT"):
            content = json.loads(unspoiled)
            inner: Any = content
            for key in path[:-1]:
                inner = inner[key]
            if bad == "LEFT OUT":
                del inner[path[-1]]
            else:
                inner[path[-1]] = bad
            seen[is_sound(content)] += 1
            if is_sound(content):
                statistics = described_statistics(content)
                if statistics is None:  # the table says what the record does not
                    content["predictions"], content["statistics"] = json.loads(as_told)
                    statistics = described_statistics(content)
                assert statistics is not None
                judgement = Judgement()
                judgement.add(items[1].partitions, content, statistics)
                given = {"tolerated_failures": 0, "wall_s": 1.0, "memory_size_mb": 512}
                summary = judgement.summary(items[0], [], predictions="predictions.parquet", **given)
                json.dumps(summary.to_json(), allow_nan=False)
                json.loads(combined_line(content) or b"{}")
                CombinedTable().add(content)
                float((content.get("distributions") or {"bytes": 0})["bytes"])  # which the tools add up
    assert min(seen.values()) > 100


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"rank": 1, "attempt": 0},
        {"rank": 1.0, "attempt": 0, "gather_error": None},
        {"predictions": None},
        {"rank": 1, "attempt": 0, "gather_error": 3},
    ],
)
def test_what_lacks_something_is_not_sound(content: dict[str, Any]) -> None:
    assert not is_sound(content)
