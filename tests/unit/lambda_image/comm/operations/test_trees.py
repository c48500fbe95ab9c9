from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambda_image.comm.operations.trees import TreeNode, star_node, tree_node

WORLDS_AND_ROOTS = st.integers(1, 70).flatmap(lambda world: st.tuples(st.just(world), st.integers(0, world - 1)))
Shape = Callable[[int, int, int], TreeNode]


@pytest.mark.parametrize("shape", [tree_node, star_node])
@given(WORLDS_AND_ROOTS)
def test_every_rank_has_one_parent_that_knows_it(shape: Shape, world_and_root: tuple[int, int]) -> None:
    world, root = world_and_root
    places = [shape(rank, root, world) for rank in range(world)]
    assert [rank for rank, here in enumerate(places) if here.parent is None] == [root]
    children = {child.rank: (rank, child.part) for rank, here in enumerate(places) for child in here.children}
    assert children == {rank: (here.parent, here.part) for rank, here in enumerate(places) if rank != root}


@pytest.mark.parametrize("shape", [tree_node, star_node])
@given(WORLDS_AND_ROOTS)
def test_a_rank_speaks_for_itself_and_its_children(shape: Shape, world_and_root: tuple[int, int]) -> None:
    world, root = world_and_root
    for rank in range(world):
        here = shape(rank, root, world)
        spoken = [rank, *(one for child in here.children for one in range(*child.part))]
        assert sorted(spoken) == list(range(*here.part))


@given(WORLDS_AND_ROOTS)
def test_everybody_is_reached_within_log2_steps(world_and_root: tuple[int, int]) -> None:
    world, root = world_and_root
    for rank in range(world):
        steps, at = 0, rank
        while (parent := tree_node(at, root, world).parent) is not None:
            steps, at = steps + 1, parent
        assert steps <= (world - 1).bit_length()


def test_the_binomial_tree_of_eight() -> None:
    assert [tree_node(rank, 0, 8).parent for rank in range(8)] == [None, 0, 0, 2, 0, 4, 4, 6]
    assert tree_node(0, 0, 8).neighbours == (4, 2, 1)
    assert tree_node(6, 0, 8).neighbours == (4, 7)
