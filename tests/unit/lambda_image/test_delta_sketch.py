import base64
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from lambda_image import delta_sketch
from lambda_image.delta_sketch import COUNTED, HALF, LARGEST, LATEST, LATEST_PARTS, OFFSET, DeltaSketch

FINITE = st.floats(allow_nan=False, allow_infinity=False)
VALUES = arrays.arrays(np.float64, st.integers(1, 60), elements=st.floats(-1000, 1000))


def of(*parts: np.ndarray) -> DeltaSketch:
    sketch = DeltaSketch()
    for part in parts:
        sketch.add(part)
    return sketch


def exact(values: np.ndarray) -> tuple[float, float]:
    middle = float(np.median(values))
    return middle, float(np.median(np.abs(values - middle)))


@given(VALUES)
def test_the_error_is_at_most_what_is_stated(values: np.ndarray):
    middle, mad = exact(values)
    found = of(values).mad()
    assert found is not None
    assert abs(found - mad) <= 1.001 * 2**-14 * (abs(middle) + mad + OFFSET)


@given(st.floats(-1, 1), st.floats(0.1, 10), st.integers(1, 2000), st.integers(0, 2**32 - 1))
def test_nmad_is_within_a_thousandth_where_the_median_is_at_most_ten_times_as_large(
    shift: float, times: float, count: int, seed: int
):
    spread = times * (abs(shift) + OFFSET)
    values = shift + spread * np.random.default_rng(seed).standard_t(2, count)
    middle, mad = exact(values)
    if abs(middle) + OFFSET <= 10 * 1.4826 * mad:
        assert of(values).mad() == pytest.approx(mad, rel=1e-3)


@given(arrays.arrays(np.float64, st.integers(0, 60), elements=FINITE), st.integers(0, 60))
def test_parts_add_up_to_the_same_counts_by_way_of_text_as_well(values: np.ndarray, cut: int):
    whole, merged, read = of(values), of(values[cut:]), of(values[cut:])
    merged.merge(of(values[:cut]))
    read.merge(DeltaSketch.from_text(of(values[:cut]).to_text(), len(values[:cut])))
    assert whole.to_text() == merged.to_text() == read.to_text()
    assert len(read) == len(values)


def test_equal_values_have_no_spread():
    assert of(np.full(7, 0.3)).mad() == 0


@pytest.mark.parametrize("value", [LARGEST, 1e300, -1e45])
def test_what_is_too_large_for_the_bins_has_no_measure_and_a_few_such_values_do_no_harm(value: float):
    assert of(np.full(3, value)).mad() is None
    assert of(np.array([0.0, 0.1, 0.2, 0.3, value])).mad() == pytest.approx(0.1, rel=1e-3)


def test_no_values_have_no_measure():
    assert of(np.empty(0)).mad() is None


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
        (packed(2 * HALF), 1),
        (packed(2**32 - 1, 2**33 - 2), 2),
        (base64.b64encode(zlib.compress(bytes(4))[:-2]).decode(), 1),
        (base64.b64encode(zlib.compress(bytes(2**20))).decode(), 1),  # unpacks to much more than it should
        (COUNTED + packed(5, 7), 3),  # once bin 5, with two values
        (COUNTED + packed(5, 7, 9), 2),
        (COUNTED + packed(2 * HALF, 2 * HALF + 1), 1),
        (COUNTED, 1),
        (COUNTED + base64.b64encode(zlib.compress(bytes(16 * HALF + 4))).decode(), 1),
    ],
)
def test_what_is_no_sketch_is_refused(text: str, values: int):
    with pytest.raises(ValueError, match="not a sketch"):
        DeltaSketch.from_text(text, values)


def test_many_values_are_counted_as_few_are():
    values = np.random.default_rng(5).standard_t(2, LATEST // 2)
    pieces = np.array_split(values, LATEST_PARTS + 7)
    whole, merged = of(values, values, values), of(*pieces)
    merged.merge(of(values, *pieces))
    assert (len(merged), merged.to_text()) == (3 * len(values), whole.to_text())
    assert merged.mad() == of(values).mad()


def test_counts_of_many_values_come_back_from_text(monkeypatch: pytest.MonkeyPatch):
    """They take no more memory however many values there are, and what earlier versions wrote of them is read too."""
    monkeypatch.setattr(delta_sketch, "LATEST", 1000)
    values = 0.02 * np.random.default_rng(6).standard_t(3, 1001)
    sketch = of(values)
    text = sketch.to_text()
    assert text.startswith(COUNTED)
    read = DeltaSketch.from_text(text, len(values))
    assert (read.to_text(), read.mad(), len(read)) == (text, sketch.mad(), len(values))
    used, counts = sketch._bins()
    assert DeltaSketch.from_text(packed(*np.repeat(used, counts)), len(values)).to_text() == text
    assert not of(values[1:]).to_text().startswith(COUNTED)
