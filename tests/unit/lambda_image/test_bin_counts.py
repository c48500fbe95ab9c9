import base64
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from lambda_image.bin_counts import COUNTED, LATEST_PARTS, BinCounts

BINS = 1000
PLACES = arrays.arrays(np.int32, st.integers(0, 60), elements=st.integers(0, BINS - 1))


def of(*parts: np.ndarray) -> BinCounts:
    counts = BinCounts(BINS)
    for part in parts:
        counts.add(part)
    return counts


def some(count: int, seed: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, BINS, count).astype(np.int32)


@given(PLACES, st.integers(0, 60))
def test_parts_add_up_to_the_same_counts_by_way_of_text_as_well(places: np.ndarray, cut: int):
    whole, merged, read = of(places), of(places[cut:]), of(places[cut:])
    merged.merge(of(places[:cut]))
    read.merge(BinCounts.from_text(of(places[:cut]).to_text(), BINS, len(places[:cut])))
    assert whole.to_text() == merged.to_text() == read.to_text()
    assert len(read) == len(places)
    used, counts = read.used()
    assert np.repeat(used, counts).tolist() == sorted(places.tolist())


def packed(*bins: int) -> str:
    steps = np.diff(np.array(bins, np.int64), prepend=0).astype("<u4")
    return base64.b64encode(zlib.compress(steps.view(np.uint8).reshape(-1, 4).T.tobytes())).decode()


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", 1),
        ("?", 1),
        ("AAAA", 1),
        (packed(5), 2),
        (packed(5, 6), 1),
        (packed(BINS), 1),
        (packed(2**32 - 1, 2**33 - 2), 2),
        (base64.b64encode(zlib.compress(bytes(4))[:-2]).decode(), 1),
        (base64.b64encode(zlib.compress(bytes(2**20))).decode(), 1),  # unpacks to much more than it should
        (base64.b64encode(zlib.compress(bytes(4 * BINS + 4))).decode(), BINS + 1),  # so many are COUNTED
        (packed(5), 2**62),
        (COUNTED + packed(5, 1), 10**30),
        (COUNTED + packed(5, 7), 3),  # once bin 5, with two values
        (COUNTED + packed(5, 7, 9), 2),
        (COUNTED + packed(BINS, BINS + 1), 1),
        (COUNTED, 1),
        (COUNTED + base64.b64encode(zlib.compress(bytes(8 * BINS + 4))).decode(), 1),
    ],
)
def test_what_are_no_counts_is_refused(text: str, values: int):
    with pytest.raises(ValueError, match="not counts of bins"):
        BinCounts.from_text(text, BINS, values)


def test_many_values_are_counted_as_few_are():
    values = some(20 * LATEST_PARTS)
    pieces = np.array_split(values, LATEST_PARTS + 7)
    whole, merged = of(values, values, values), of(*pieces)
    merged.merge(of(values, *pieces))
    assert (len(merged), merged.to_text()) == (3 * len(values), whole.to_text())


def test_counts_of_many_values_come_back_from_text():
    """They take no more memory however many values there are."""
    values = some(BINS + 1, 6)
    counts = of(values)
    text = counts.to_text()
    assert text.startswith(COUNTED)
    read = BinCounts.from_text(text, BINS, len(values))
    assert (read.to_text(), len(read)) == (text, len(values))
    assert not of(values[1:]).to_text().startswith(COUNTED)
