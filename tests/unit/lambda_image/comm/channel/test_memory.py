from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambda_image.comm.channel.memory import MIDDLE, PAGE, SMALLEST, Memory

BYTE, FLOAT = np.dtype("u1"), np.dtype("f4")


def where(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


def test_memory_that_nobody_holds_is_used_again() -> None:
    memory = Memory()
    first = memory.empty((SMALLEST,), FLOAT)
    place = where(first)
    assert where(memory.like(first)) != place
    del first
    assert where(memory.empty((2, SMALLEST // 2), np.dtype(">i4"))) == place


@pytest.mark.parametrize("extra", [0, 1, 4, 100, PAGE])
def test_blocks_begin_in_the_middle_of_a_page(extra: int) -> None:
    memory = Memory()
    array = memory.empty((SMALLEST + extra,), BYTE)
    assert array.nbytes == SMALLEST + extra
    assert where(array) % PAGE == MIDDLE
    assert MIDDLE % 64 == 0


@pytest.mark.parametrize(
    "part_of",
    [
        lambda array: array,
        lambda array: array[5:9],
        lambda array: array.reshape(2, -1)[1].view("u1"),
        lambda array: array.data,
        lambda array: memoryview(array.view("u1")).cast("c")[3:],
        lambda array: np.frombuffer(array, BYTE),
        lambda array: {"held": [array[:1]]},
    ],
)
def test_memory_is_lent_as_long_as_anything_is_left_of_it(part_of: Callable[[np.ndarray], object]) -> None:
    memory = Memory()
    array = memory.empty((SMALLEST,), FLOAT)
    place, part = where(array), part_of(array)
    del array
    assert where(memory.empty((SMALLEST,), FLOAT)) != place
    del part
    assert place in {where(one) for one in (memory.empty((SMALLEST,), FLOAT), memory.empty((SMALLEST,), FLOAT))}


def test_no_more_is_kept_than_allowed_and_what_is_lent_stays_whole() -> None:
    memory = Memory(3 * SMALLEST)
    lent = [memory.empty((SMALLEST,), BYTE) for _ in range(5)]
    for number, array in enumerate(lent):
        array[:] = number
    places = {where(array) for array in lent}
    assert len(places) == 5
    more = memory.empty((2 * SMALLEST,), BYTE)
    more[:] = 9
    assert [set(array.tolist()) for array in lent] == [{number} for number in range(5)]
    del array, lent
    assert sum(block.nbytes for block in memory._blocks) <= 3 * SMALLEST


def test_more_than_may_be_kept_is_given_all_the_same() -> None:
    assert Memory(0).empty((SMALLEST,), FLOAT).shape == (SMALLEST,)


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=30))
def test_no_two_arrays_in_use_share_memory(steps: list[tuple[int, bool]]) -> None:
    memory, held = Memory(4 * SMALLEST), list[np.ndarray]()
    for size, drop in steps:
        if drop and held:
            held.pop(size % len(held))
        held.append(memory.empty((SMALLEST // 2 * size,), BYTE))
        assert not any(np.shares_memory(held[-1], other) for other in held[:-1])
