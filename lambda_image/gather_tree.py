"""In which groups the ranks of a run gather: a star, or a tree of stars where there are too many ranks for one. No I/O.

    star    rank 0 is connected to all others
    tree    rank 0 is connected to inner ranks, and each of these to the ranks that follow it, its leaves

Each star is a group of its own at the rendezvous server, in which ranks are numbered anew. The ranks of a star, and
inner ranks with rank 0, form the group of the run's name. An inner rank and its leaves form a group whose name ends in
the number of that inner rank. So an inner rank is a member of two groups, and every other rank of one.

    world size 8, width 3:      0 ── 1 ── 2, 3
                                └─── 4 ── 5, 6
                                └─── 7

The width is how many ranks an inner rank speaks for, itself included. Init chooses it, and every rank of the run
computes the same groups from it.
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt
from typing import NamedTuple

from lambda_image.manifest import ROOT, Assignment
from lambda_image.manifest import STAR as STAR  # for those who plan

# So many ranks gather in one star. A connection takes 0.6 ms of the root's processor while it infers, and a few
# descriptors while it is made. A tree has less of both, but all parts travel twice.
STAR_RANKS = 256
OWN_DESCRIPTORS = 64  # of a rank's process beside its connections to other ranks: S3, threads, the rendezvous server
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
        up: The group to whose first member it gives them; None at rank 0.
        down: The group whose first member it is; None at a leaf.
    """

    up: GroupPlace | None
    down: GroupPlace | None


def gather_place(rank: int, world_size: int, width: int) -> GatherPlace:
    """Finds a rank's groups.

    Args:
        rank: of the run.
        world_size: how many ranks the run has.
        width: how many ranks an inner rank speaks for, itself included; STAR for a star.
    """
    step = width or 1
    top = (ROOT, *range(1, world_size, step)) if width else range(world_size)
    if rank == ROOT:
        return GatherPlace(None, GroupPlace("", top, 0))
    place, behind = divmod(rank - 1, step)
    first = rank - behind
    members = range(first, min(first + step, world_size))
    if behind:
        return GatherPlace(GroupPlace(f"/{first}", members, behind), None)
    below = GroupPlace(f"/{first}", members, 0) if len(members) > 1 else None
    return GatherPlace(GroupPlace("", top, place + 1), below)


def place_of(assignment: Assignment) -> GatherPlace:
    """Finds the groups of the rank of an assignment that is complete."""
    return gather_place(assignment.rank, assignment.world_size, assignment.gather_width)


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
    # As many inner ranks below rank 0 as ranks that each of them speaks for.
    width = isqrt(world_size - 2) + 1
    return width if width <= connections else None
