"""How contributions become one, in one order that every algorithm keeps, so that all give the same bits.

The order is a tree over the ranks: of n ranks the first 2^k, the largest power of two below n, are combined, then the
others, then the two results. It is what a binomial tree does by itself, for whatever root. A function that is not
associative is folded from rank 0 upwards instead, which only a star can do. The order of ranks is always kept.

One thing floating point leaves open: which NaN comes of two different ones.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from lambda_image.comm.channel.values import Value

Range = tuple[int, int]  # of ranks, the second not included
_IN_PLACE_KINDS = "?biufc"  # dtypes that the reductions by items keep, so that a result fits where an operand was


@dataclass(frozen=True, slots=True)
class Reduction:
    """Combines two contributions, and says which algorithms may use it.

    The order of ranks is always kept, so that a function need not be commutative.

    Attributes:
        combine: The function of two contributions, the lower ranks' first. It must not change its arguments.
        associative: Whether results of several ranks may be combined with each other. Otherwise all contributions are
            folded at one rank, from rank 0 upwards.
        by_items: Whether it takes arrays and makes each item of the result of the two items in that place alone. Then
            arrays can be reduced in pieces.
        ufunc: A function of numpy that does the same, and can put the result into a given array.
    """

    combine: Callable[[Value, Value], Value]
    associative: bool = True
    by_items: bool = False
    ufunc: np.ufunc | None = None

    def into(self, left: Value, right: Value, target: np.ndarray | None) -> Value:
        """Combine two contributions, without taking memory if that is possible.

        Args:
            left: The lower ranks' contribution.
            right: The higher ranks' contribution, an array of the same type and shape if `left` is one.
            target: Where the result is to go, if it can. It may be one of the two.

        Returns:
            The result, which is `target` if it went there.

        Raises:
            ValueError: The two arrays differ in type or shape.
        """
        if (
            self.ufunc is None
            or target is None
            or not isinstance(left, np.ndarray)
            or not isinstance(right, np.ndarray)
        ):
            return self.combine(left, right)
        _check_alike(left, right)
        if left.dtype.kind not in _IN_PLACE_KINDS or (target.dtype, target.shape) != (left.dtype, left.shape):
            return self.combine(left, right)
        self.ufunc(left, right, out=target)
        return target


def _check_alike(left: np.ndarray, right: np.ndarray) -> None:
    if left.shape != right.shape or left.dtype != right.dtype:
        raise ValueError(
            f"ranks contribute different arrays: {left.dtype}{list(left.shape)}, {right.dtype}{list(right.shape)}"
        )


def _by_items(ufunc: np.ufunc) -> Reduction:
    def combine(left: Value, right: Value) -> Value:
        if not (isinstance(left, np.ndarray) and isinstance(right, np.ndarray)):
            raise TypeError("bytes are reduced by a function of the caller's; sum, min, max and prod take arrays")
        _check_alike(left, right)
        result = np.asarray(ufunc(left, right))
        foreign = result.dtype != left.dtype and result.dtype == left.dtype.newbyteorder("=")
        return result.astype(left.dtype) if foreign else result  # numpy computes in the processor's own byte order

    return Reduction(combine, by_items=True, ufunc=ufunc)


REDUCTIONS: dict[str, Reduction] = {
    "sum": _by_items(np.add),
    "min": _by_items(np.minimum),
    "max": _by_items(np.maximum),
    "prod": _by_items(np.multiply),
}


def middle(low: int, high: int, *, associative: bool = True) -> int:
    """Where the order divides a range of at least two ranks."""
    return low + (1 << (high - low - 1).bit_length() - 1) if associative else high - 1


@dataclass(slots=True)
class Folding:
    """Puts the parts of a range of ranks together as they come; `result` is there when all have.

    Arrays that are `owned` may be overwritten; where there are any, no memory is taken. The last step goes to `out`.
    """

    world_size: int
    reduction: Reduction
    top: Range
    out: np.ndarray | None = None
    result: Value | None = None
    _waiting: dict[Range, tuple[Value, bool]] = field(default_factory=dict)

    def put(self, part: Range, value: Value, *, owned: bool) -> bool:
        """True when it was the last one. `part`: the ranks that it stands for, one of the order's own ranges."""
        above = _above(self.world_size, self.reduction.associative)
        while part != self.top:
            other, whole = above[part]
            if other not in self._waiting:
                self._waiting[part] = (value, owned)
                return False
            sibling, theirs = self._waiting.pop(other)
            left, right = (value, sibling) if part < other else (sibling, value)
            target = self.out if whole == self.top else None
            if target is None:
                target = _array(value) if owned else _array(sibling) if theirs else None
            value, owned, part = self.reduction.into(left, right, target), True, whole
        self.result = value
        return True


def _array(value: Value) -> np.ndarray | None:
    return value if isinstance(value, np.ndarray) else None


@functools.lru_cache(64)
def _above(world_size: int, associative: bool) -> dict[Range, tuple[Range, Range]]:
    """Of every range of the order but the whole: the one it is combined with, and what the two make."""
    above: dict[Range, tuple[Range, Range]] = {}
    open_ranges = [(0, world_size)]
    while open_ranges:
        whole = low, high = open_ranges.pop()
        if high - low > 1:
            cut = middle(low, high, associative=associative)
            left, right = (low, cut), (cut, high)
            above[left], above[right] = (right, whole), (left, whole)
            open_ranges += (left, right)
    return above


def prefixes(values: list[Value], reduction: Reduction) -> list[Value]:
    """The reduction of the first value, of the first two, ... each as if there were no further ranks."""
    if not reduction.associative:
        results = [values[0]]
        for value in values[1:]:
            results.append(reduction.combine(results[-1], value))
        return results
    known: dict[Range, Value] = {}

    def whole(low: int, high: int) -> Value:
        if high - low == 1:
            return values[low]
        if (low, high) not in known:
            cut = middle(low, high)
            known[low, high] = reduction.combine(whole(low, cut), whole(cut, high))
        return known[low, high]

    return [whole(0, count) for count in range(1, len(values) + 1)]
