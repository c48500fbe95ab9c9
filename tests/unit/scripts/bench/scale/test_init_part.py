import json
from pathlib import Path
from typing import Any

import pytest

from scripts.bench.errors import BenchmarkError
from scripts.bench.scale.init_part import check_dealt
from scripts.bench.scale.object_server import NumberedKeys


def written(folder: Path, *stretches: range) -> tuple[list[dict[str, Any]], Path]:
    """Items and shares as Init writes them for three objects."""
    keys, shares, start, items = NumberedKeys(3), folder / "shares", 0, []
    with shares.open("wb") as out:
        start += out.write(b'{"run": {}}\n')
        for rank, stretch in enumerate(stretches):
            line = {"rank": rank, "partitions": [{"key": keys[place]} for place in stretch]}
            size = out.write(json.dumps(line).encode() + b"\n")
            items.append({"rank": rank, "share": {"start": start, "size": size, "partitions": len(stretch)}})
            start += size
    return items, shares


def test_a_manifest_is_right_where_every_object_has_one_rank(tmp_path: Path):
    check_dealt(3, 2, *written(tmp_path, range(2), range(2, 3)))


@pytest.mark.parametrize(
    ("stretches", "words"),
    [
        ((range(1), range(2, 3)), "rank 1 has other objects"),
        ((range(1), range(1, 2)), "2 of 3 objects"),
        ((range(3),), "1 of 2 ranks"),
    ],
)
def test_one_that_leaves_something_out_is_wrong(tmp_path: Path, stretches: tuple[range, ...], words: str):
    with pytest.raises(BenchmarkError, match=words):
        check_dealt(3, 2, *written(tmp_path, *stretches))


def test_an_item_that_points_elsewhere_is_wrong(tmp_path: Path):
    items, shares = written(tmp_path, range(2), range(2, 3))
    items[1]["share"]["start"] += 1
    with pytest.raises(BenchmarkError, match="the item of rank 1 does not find its share"):
        check_dealt(3, 2, items, shares)
