"""How partitions, or rows, are dealt to the ranks. No I/O.

Ranks get contiguous stretches of the partitions in natural order. The predictions of the ranks, one after another, are
therefore in the order of the dataset, whatever the world size and however it is dealt.

A run takes as long as its largest share. Where partitions differ in size, stretches of as many files would leave the
other ranks waiting, and stretches are cut by bytes instead. The largest of these is as small as it can be.
"""

import itertools
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from lambda_image.events import DealBy
from lambda_image.manifest import Slice

T = TypeVar("T")

EVEN = 1.02  # largest shares that differ by less are alike, and then ranks get as many files as each other


@dataclass(frozen=True)
class Deal:
    """Which partitions each rank gets."""

    by: DealBy
    stretches: list[range]  # places of the partitions, by rank
    largest: int  # bytes of the largest share
    largest_otherwise: int  # the same where they are dealt in the other way

    def said(self) -> str:
        """Says in one sentence how the partitions are dealt, and what that does to the largest share."""
        other = "files" if self.by == "bytes" else "bytes"
        times = f"{self.largest_otherwise / max(1, self.largest):.2f} times"
        return f"the partitions are dealt by {self.by}. By {other} the largest share would have {times} the bytes"


def deal(things: Sequence[T], world_size: int) -> list[list[T]]:
    """Cuts `things` into contiguous stretches, one for each of `world_size` ranks.

    Lengths differ by at most one. Some stretches are empty where there are fewer things than ranks.
    """
    return [list(things[stretch.start : stretch.stop]) for stretch in _even(len(things), world_size)]


def deal_rows(key: str, etag: str, rows: int, world_size: int) -> list[list[Slice]]:
    """Cuts one dataset of `rows` rows into ranges of rows, whose lengths differ by at most one.

    Returns:
        For each rank a list of one slice, or of none where there are fewer rows than ranks.
    """
    stretches = _even(rows, world_size)
    return [[Slice(key, (stretch.start, stretch.stop), etag)] if stretch else [] for stretch in stretches]


def deal_partitions(sizes: Sequence[int], world_size: int, by: DealBy | None = None) -> Deal:
    """Cuts partitions into contiguous stretches, one for each of `world_size` ranks.

    Args:
        sizes: bytes of the partitions, in their order.
        world_size: how many ranks there are.
        by: what is to be alike for all ranks; None for bytes where files would make the largest share larger, and for
            files where that is alike.
    """
    sums = array("q", itertools.accumulate(sizes, initial=0))
    files, equal = _even(len(sizes), world_size), by != "bytes" and len(set(sizes)) <= 1
    largest_by_files = _largest(files, sums)
    stretches = files if equal else _balanced(sums, world_size)
    largest_by_bytes = largest_by_files if equal else _largest(stretches, sums)
    if by == "files" or (by is None and largest_by_files <= EVEN * largest_by_bytes):
        return Deal("files", files, largest_by_files, largest_by_bytes)
    return Deal("bytes", stretches, largest_by_bytes, largest_by_files)


def _even(count: int, world_size: int) -> list[range]:
    share, extra = divmod(count, world_size)
    ends = itertools.accumulate((share + (rank < extra) for rank in range(world_size)), initial=0)
    return list(itertools.starmap(range, itertools.pairwise(ends)))


def _largest(stretches: Sequence[range], sums: Sequence[int]) -> int:
    return max(sums[stretch.stop] - sums[stretch.start] for stretch in stretches)


def _balanced(sums: Sequence[int], world_size: int) -> list[range]:
    """Stretches whose largest is as small as it can be, and the others as even as that allows."""
    count, total = len(sums) - 1, sums[-1]
    most = _least_capacity(sums, world_size)
    # The first partition with which the ranks behind can still hold all the rest, rank by rank from the end.
    earliest = [count]
    for _ in range(world_size - 1):
        earliest.append(bisect_left(sums, sums[earliest[-1]] - most))
    stretches, start = [], 0
    for rank in range(world_size):
        left = world_size - rank
        fair = sums[start] + (total - sums[start]) / left
        stop = bisect_left(sums, fair, start)
        if stop > start and fair - sums[stop - 1] < sums[min(stop, count)] - fair:
            stop -= 1
        furthest = bisect_right(sums, sums[start] + most) - 1
        stop = min(max(stop, earliest[left - 1], start), furthest)
        stretches.append(range(start, stop))
        start = stop
    return stretches


def _least_capacity(sums: Sequence[int], world_size: int) -> int:
    """The least bytes that the largest share must hold. A capacity is tried by filling one rank after another."""
    total = sums[-1]
    low = max(-(-total // world_size), max((b - a for a, b in itertools.pairwise(sums)), default=0))
    high = max(low, 2 * low)  # ranks that are filled to this hold `low` on average, which is their fair share at least
    while low < high:
        middle, start = (low + high) // 2, 0
        for _ in range(world_size):
            start = bisect_right(sums, sums[start] + middle) - 1
            if sums[start] == total:
                break
        if sums[start] == total:
            high = middle
        else:
            low = middle + 1
    return low
