import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from lambda_image.bin_counts import BinCounts
from lambda_image.delta_sketch import HALF, LARGEST, OFFSET, DeltaSketch

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


def test_a_sketch_of_other_bins_is_refused():
    other = BinCounts(2 * HALF + 1)
    other.add(np.array([2 * HALF], np.int32))
    with pytest.raises(ValueError, match="bins that there are not"):
        DeltaSketch.from_text(other.to_text(), 1)
