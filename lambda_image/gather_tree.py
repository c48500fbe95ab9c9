"""In which groups the ranks of a run gather: a star, or a tree of stars where there are too many ranks for one. No I/O.

    star    the root is connected to all others
    tree    the root is connected to inner ranks, and each of these to the ranks that follow it, its leaves

Each star is a group of its own at the rendezvous server, in which ranks are numbered anew. The ranks of a star, and
inner ranks with the root, form the group of the run's name. An inner rank and its leaves form a group whose name ends
in the number of that inner rank. So an inner rank is a member of two groups, and every other rank of one.

    world size 8, width 3:      0 ── 1 ── 2, 3
                                └─── 4 ── 5, 6
                                └─── 7

The width is how many ranks an inner rank speaks for, itself included. The root is rank 0, unless another rank has a
larger share, since the root cannot end before the last rank. The ranks follow it in their order, and 0 follows the
last. Init chooses both, and every rank of the run computes the same groups from them.
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt
from typing import NamedTuple

from lambda_image.manifest import STAR as STAR  # for those who plan
from lambda_image.manifest import Assignment

# So many ranks gather in one star. A connection takes 0.6 ms of the root's processor while it infers, and a few
# descriptors while it is made. A tree has less of both, but all parts travel twice.
STAR_RANKS = 256
OWN_DESCRIPTORS = 64  # of a rank's process beside its connections to other ranks: S3, threads, the rendezvous server
EVEN = 1.02  # shares that differ by less are alike
DESCRIPTORS_EACH = 2  # that a connection takes while several ways to one peer are tried
LABEL = b"gather group 1\0"


@dataclass(frozen=True)
class GroupPlace:
    """Says what one rank is in one group.

    Attributes:
        suffix: What the group's name has behind the run id.
        members: The ranks of the run by their number in the group. The first gathers.
        number: This rank's number in it.
    """

    suffix: str
    members: Sequence[int]
    number: int

    def key(self, run_key: bytes) -> bytes:
        """Gives the key by which members prove themselves, so that nobody of another group is taken for one.

        Args:
            run_key: that of the run.
        """
        return hmac.digest(run_key, LABEL + self.suffix.encode(), "sha256") if self.suffix else run_key


class GatherPlace(NamedTuple):
    """Says where one rank gives its part, and where it takes those of others.

    Attributes:
        up: The group to whose first member it gives them; None at the root.
        down: The group whose first member it is; None at a leaf.
    """

    up: GroupPlace | None
    down: GroupPlace | None


def gather_place(rank: int, world_size: int, width: int, root: int = 0) -> GatherPlace:
    """Finds a rank's groups.

    Args:
        rank: of the run.
        world_size: how many ranks the run has.
        width: how many ranks an inner rank speaks for, itself included; STAR for a star.
        root: the rank that gathers.
    """

    def ranks(places: range) -> Sequence[int]:
        return tuple((place + root) % world_size for place in places) if root else places

    step, own = width or 1, (rank - root) % world_size
    top = (root, *ranks(range(1, world_size, step)))
    if own == 0:
        return GatherPlace(None, GroupPlace("", top, 0))
    number, behind = divmod(own - 1, step)
    first = own - behind
    members = ranks(range(first, min(first + step, world_size)))
    if behind:
        return GatherPlace(GroupPlace(f"/{members[0]}", members, behind), None)
    below = GroupPlace(f"/{rank}", members, 0) if len(members) > 1 else None
    return GatherPlace(GroupPlace("", top, number + 1), below)


def place_of(assignment: Assignment) -> GatherPlace:
    """Finds the groups of the rank of an assignment that is complete."""
    return gather_place(assignment.rank, assignment.world_size, assignment.gather_width, assignment.gather_root)


def most_connections(descriptors: int) -> int:
    """Computes to how many others a rank can be connected.

    Args:
        descriptors: how many a process may have open, as RLIMIT_NOFILE says.
    """
    return max(0, (descriptors - OWN_DESCRIPTORS) // DESCRIPTORS_EACH)


def most_held(world_size: int, width: int) -> int:
    """Counts the connections of the rank that has the most of them.

    Args:
        world_size: how many ranks there are.
        width: how many ranks an inner rank speaks for, itself included; STAR for a star.
    """
    inner = -(-(world_size - 1) // (width or 1))
    return max(inner, min(width, world_size - 1))


def plan_root(sizes: Sequence[int] | None) -> int:
    """Chooses the rank that gathers.

    Args:
        sizes: bytes of each rank's share; None where nobody knows them.

    Returns:
        The rank with the largest share, or 0 where that has as much but for a little.
    """
    if not sizes or max(sizes) <= EVEN * sizes[0]:
        return 0
    return sizes.index(max(sizes))


def plan_width(world_size: int, connections: int) -> int | None:
    """Chooses the width of a run.

    Args:
        world_size: how many ranks there are.
        connections: to how many others one rank can be connected.

    Returns:
        STAR, the width of a tree, or None where no rank could have the connections that a tree of two levels needs.
    """
    if world_size - 1 < min(STAR_RANKS, connections + 1):
        return STAR
    width = tree_width(world_size)
    return width if width <= connections else None


def tree_width(world_size: int) -> int:
    """Chooses the width by which the root has as many inner ranks below it as each of them speaks for.

    Args:
        world_size: how many ranks there are.
    """
    return isqrt(max(0, world_size - 2)) + 1
