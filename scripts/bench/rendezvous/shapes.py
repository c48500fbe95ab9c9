"""How the ranks of a world join: as one group of either topology, or as the groups of a gather's tree. No I/O."""

from enum import StrEnum

from lambda_image.gather_tree import gather_place, tree_width
from rendezvous_server.protocol import Endpoint, Join, Topology


class Shape(StrEnum):
    """Names what a world is made of."""

    FULL = "full"  # one group, whose members learn of each other
    STAR = "star"  # one group, whose members learn of its first one only
    TREE = "tree"  # a star of inner ranks, and a star for each of them: what a run of very many ranks joins


def local_endpoint(rank: int) -> Endpoint:
    """Return the endpoint that a rank announces. Each has its own host, as on Lambda."""
    return Endpoint(f"10.0.{rank >> 8}.{rank & 255}", 40_000)


def joins(shape: Shape, world_size: int, run_id: str) -> list[Join]:
    """Return what all ranks of a world ask the server for. Inner ranks of a tree ask twice.

    Args:
        shape: What the world is made of.
        world_size: How many ranks there are.
        run_id: The name of the run, and of its first group.
    """
    if shape is not Shape.TREE:
        topology = Topology.STAR if shape is Shape.STAR else Topology.FULL
        return [_join(run_id, rank, world_size, rank, topology) for rank in range(world_size)]
    width = tree_width(world_size)
    return [
        _join(run_id + group.suffix, group.number, len(group.members), rank, Topology.STAR)
        for rank in range(world_size)
        for group in gather_place(rank, world_size, width)
        if group is not None
    ]


def _join(group: str, number: int, members: int, rank: int, topology: Topology) -> Join:
    return Join(group, number, members, local=(local_endpoint(rank),), topology=topology)
