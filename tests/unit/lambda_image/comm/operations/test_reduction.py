import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambda_image.comm.channel.values import Value
from lambda_image.comm.operations.reduction import REDUCTIONS, Folding, Reduction, middle, prefixes


def folded(count: int, order: list[int], reduction: Reduction) -> Value:
    folding = Folding(count, reduction, (0, count))
    last = [folding.put((rank, rank + 1), str(rank), owned=True) for rank in order]  # type: ignore[arg-type]
    assert last == [False] * (count - 1) + [True]
    assert folding.result is not None
    return folding.result


@given(st.integers(1, 20).flatmap(lambda count: st.permutations(range(count))), st.booleans())
def test_who_comes_first_changes_nothing(order: list[int], associative: bool) -> None:
    reduction = Reduction(lambda left, right: f"({left}{right})", associative=associative)  # type: ignore[arg-type,return-value]
    assert folded(len(order), order, reduction) == folded(len(order), sorted(order), reduction)


def test_the_order() -> None:
    combine = lambda left, right: f"({left}{right})"  # noqa: E731
    assert folded(6, list(range(6)), Reduction(combine)) == "(((01)(23))(45))"  # type: ignore[arg-type,comparison-overlap]
    in_turn = Reduction(combine, associative=False)  # type: ignore[arg-type]
    assert folded(4, list(range(4)), in_turn) == "(((01)2)3)"  # type: ignore[comparison-overlap]
    assert [middle(0, size) for size in (2, 3, 4, 5, 8, 9)] == [1, 2, 2, 4, 4, 8]


@given(st.integers(1, 40), st.booleans())
def test_prefixes_are_what_smaller_worlds_would_get(count: int, associative: bool) -> None:
    reduction = Reduction(lambda left, right: f"({left}{right})", associative=associative)  # type: ignore[arg-type,return-value]
    values = [str(rank) for rank in range(count)]
    expected = [folded(size, list(range(size)), reduction) for size in range(1, count + 1)]
    assert prefixes(values, reduction) == expected  # type: ignore[arg-type]


def test_only_what_is_owned_is_overwritten_and_the_end_goes_to_out() -> None:
    own, theirs, out = np.ones(3), [np.full(3, 2.0), np.full(3, 3.0)], np.zeros(3)
    folding = Folding(3, REDUCTIONS["sum"], (0, 3), out)
    folding.put((0, 1), own, owned=False)
    folding.put((1, 2), theirs[0], owned=True)
    folding.put((2, 3), theirs[1], owned=True)
    assert folding.result is out
    assert out.tolist() == [6, 6, 6]
    assert own.tolist() == [1, 1, 1]
    assert theirs[0].tolist() == [3, 3, 3]  # where 1 + 2 went


@pytest.mark.parametrize("dtype", ["?", "i4", ">f8", "m8[s]"])
def test_a_sum_keeps_its_dtype(dtype: str) -> None:
    one, other = np.ones(2, dtype), np.ones(2, dtype)
    for room in (None, other):
        result = REDUCTIONS["sum"].into(one, other.copy(), room)
        assert isinstance(result, np.ndarray)
        assert result.dtype == np.dtype(dtype)
