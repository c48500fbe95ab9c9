from collections import Counter

import pytest

from lambda_image.gather_tree import tree_width
from rendezvous_server.protocol import Endpoint, Topology
from scripts.bench.rendezvous.shapes import Shape, joins, local_endpoint


def test_every_rank_has_its_own_host():
    assert len({local_endpoint(rank) for rank in range(10_000)}) == 10_000
    assert local_endpoint(9_999) == Endpoint("10.0.39.15", 40_000)


@pytest.mark.parametrize(("shape", "topology"), [(Shape.FULL, Topology.FULL), (Shape.STAR, Topology.STAR)])
def test_a_world_of_one_group(shape: Shape, topology: Topology):
    wanted = joins(shape, 5, "run")
    assert [(join.run_id, join.rank, join.world_size) for join in wanted] == [("run", rank, 5) for rank in range(5)]
    assert {join.topology for join in wanted} == {topology}


@pytest.mark.parametrize("world_size", [2, 3, 4, 64, 10_000])
def test_the_groups_of_a_tree_are_whole_and_every_rank_is_in_one(world_size: int):
    wanted = joins(Shape.TREE, world_size, "run")
    groups = Counter(join.run_id for join in wanted)
    assert {join.run_id: join.world_size for join in wanted} == groups
    assert len({(join.run_id, join.rank) for join in wanted}) == len(wanted)
    assert {join.local for join in wanted} == {(local_endpoint(rank),) for rank in range(world_size)}
    inner = groups["run"] - 1
    assert len(wanted) <= world_size + inner
    assert max(groups.values()) <= tree_width(world_size) + 1
