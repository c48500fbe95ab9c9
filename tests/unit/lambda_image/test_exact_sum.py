import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambda_image.exact_sum import ExactSum

NUMBERS = st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=40)


def summed(*parts: list[float]) -> ExactSum:
    total = ExactSum()
    for part in parts:
        total.add(np.array(part, np.float64))
    return total


@given(NUMBERS)
def test_nothing_is_rounded(numbers: list[float]):
    assert summed(numbers).value == sum(map(Fraction, numbers))


@given(NUMBERS, st.integers(0, 40), st.randoms(use_true_random=False))
def test_neither_order_nor_parts_matter(numbers: list[float], cut: int, random):
    shuffled = random.sample(numbers, len(numbers))
    merged = summed(shuffled[:cut])
    merged.merge(summed(shuffled[cut:]))
    assert merged.to_text() == summed(numbers).to_text()


@given(NUMBERS)
def test_a_sum_is_read_back_and_any_tool_can_read_the_nearest_number(numbers: list[float]):
    total = summed(numbers)
    assert ExactSum.from_text(total.to_text()).value == total.value
    if math.isfinite(nearest := math.fsum(numbers) if all(abs(n) < 1e300 for n in numbers) else math.inf):
        assert float.fromhex(total.to_text()) == nearest


def test_sums_of_many_numbers_are_exact():
    many = np.full(1 << 20, np.nextafter(1.0, 2.0))
    assert summed(many.tolist()).value == (1 << 20) * Fraction(np.nextafter(1.0, 2.0))


@pytest.mark.parametrize(
    "text", ["", "0x1", "1.5", "0x1.8p0", "0x1p+9999", "0x1p-1201", "nan", "0xfp+0 ", f"0x{'f' * 600}p+0", "0x1p+0\n"]
)
def test_what_is_no_sum_is_refused(text: str):
    with pytest.raises(ValueError, match="not an exact sum"):
        ExactSum.from_text(text)
