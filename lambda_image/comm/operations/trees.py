"""The binomial tree over the ranks, as one rank sees it. Pure.

Every range of the canonical order (reduction.py) has an owner: the root where it is in the range, otherwise the first
rank. A range's two halves meet at its owner. So reductions keep their order whatever the root, and a value that goes
the other way reaches everybody within log2 steps.
"""

import functools
from typing import NamedTuple

from lambda_image.comm.operations.reduction import Range, middle


class Child(NamedTuple):
    rank: int
    part: Range  # the ranks that it speaks for


class TreeNode(NamedTuple):
    parent: int | None  # None at the root
    children: tuple[Child, ...]  # largest first, so that the longest way begins first
    part: Range  # the ranks that this one speaks for

    @property
    def neighbours(self) -> tuple[int, ...]:
        above = () if self.parent is None else (self.parent,)
        return (*above, *(child.rank for child in self.children))


@functools.lru_cache(256)
def tree_node(rank: int, root: int, world_size: int) -> TreeNode:
    low, high, owner = 0, world_size, root
    parent: int | None = None
    part, children = (low, high), list[Child]()
    while high - low > 1:
        cut = middle(low, high)
        sides = [(low, cut), (cut, high)]
        near = sides[owner >= cut]
        far = sides[owner < cut]
        if rank == owner:
            children.append(Child(far[0], far))
            low, high = near
        elif near[0] <= rank < near[1]:
            low, high = near
        else:
            low, high = far
            if rank == low:
                parent, part = owner, far
            owner = low
    return TreeNode(parent, tuple(children), part)


@functools.lru_cache(256)
def star_node(rank: int, root: int, world_size: int) -> TreeNode:
    """The same for a star."""
    if rank != root:
        return TreeNode(root, (), (rank, rank + 1))
    return TreeNode(
        None, tuple(Child(peer, (peer, peer + 1)) for peer in range(world_size) if peer != root), (0, world_size)
    )
