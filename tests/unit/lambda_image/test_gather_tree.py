from collections import defaultdict
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambda_image.events import MAX_WORLD_SIZE
from lambda_image.gather_tree import (
    STAR,
    STAR_RANKS,
    GatherPlace,
    GroupPlace,
    gather_place,
    most_connections,
    plan_root,
    plan_width,
    tree_width,
)

LAMBDA = 1024  # descriptors


def test_the_tree_of_eight_ranks_is_the_one_that_the_module_draws():
    places = [gather_place(rank, 8, 3) for rank in range(8)]
    top = (0, 1, 4, 7)
    assert places[0] == GatherPlace(None, GroupPlace("", top, 0))
    assert places[1] == GatherPlace(GroupPlace("", top, 1), GroupPlace("/1", range(1, 4), 0))
    assert places[3] == GatherPlace(GroupPlace("/1", range(1, 4), 2), None)
    assert places[7] == GatherPlace(GroupPlace("", top, 3), None)


def test_one_rank_gathers_alone_and_a_star_has_one_group():
    assert gather_place(0, 1, 5) == GatherPlace(None, GroupPlace("", (0,), 0))
    assert gather_place(2, 4, STAR) == GatherPlace(GroupPlace("", (0, 1, 2, 3), 2), None)
    assert gather_place(2, 4, STAR, 3) == GatherPlace(GroupPlace("", (3, 0, 1, 2), 3), None)


@given(st.data(), st.integers(2, 400), st.integers(0, 30))
def test_every_rank_reaches_the_root_and_groups_agree(data: st.DataObject, world_size: int, width: int):
    root = data.draw(st.integers(0, world_size - 1))
    groups: dict[str, list[GroupPlace]] = defaultdict(list)
    for rank in range(world_size):
        place = gather_place(rank, world_size, width, root)
        assert (place.up is None) == (rank == root)
        for group in filter(None, (place.up, place.down)):
            assert group.members[group.number] == rank
            groups[group.suffix].append(group)
        if place.up is not None:
            above = place.up.members[0]
            assert place.up.number > 0
            assert above == root or gather_place(above, world_size, width, root).up.members[0] == root  # type: ignore[union-attr]
    for places in groups.values():
        assert len({tuple(place.members) for place in places}) == 1
        assert sorted(place.number for place in places) == list(range(len(places[0].members)))
        assert len(places) > 1
    # Each rank gives its part once.
    given = sorted(chain.from_iterable(list(places[0].members)[1:] for places in groups.values()))
    assert given == [rank for rank in range(world_size) if rank != root]


@given(st.integers(1, MAX_WORLD_SIZE), st.integers(100, 4000))
def test_no_rank_has_more_connections_than_its_descriptors_allow(world_size: int, descriptors: int):
    connections = most_connections(descriptors)
    width = plan_width(world_size, connections)
    if width is None:
        assert connections**2 < world_size
        return
    if width != STAR:
        assert world_size > min(STAR_RANKS, connections)
    for rank in {0, 1, world_size // 2, world_size - 1} & set(range(world_size)):
        place = gather_place(rank, world_size, width)
        held = (len(place.down.members) - 1 if place.down else 0) + (place.up is not None)
        assert held <= connections


@pytest.mark.parametrize(
    ("world_size", "width"), [(1, STAR), (STAR_RANKS, STAR), (STAR_RANKS + 1, 16), (1000, 32), (10_000, 100)]
)
def test_a_star_up_to_a_size_and_beyond_it_a_tree_as_wide_as_it_is_high(world_size: int, width: int):
    assert plan_width(world_size, most_connections(LAMBDA)) == width


def test_few_descriptors_make_a_tree_of_fewer_ranks_or_none():
    assert plan_width(64, 40) == 8
    assert plan_width(64, 8) == 8
    assert plan_width(64, 5) is None
    assert most_connections(32) == 0


@pytest.mark.parametrize(
    ("sizes", "root"), [(None, 0), ([], 0), ([5, 5], 0), ([100, 102, 90], 0), ([100, 103, 103], 1), ([0, 0, 9], 2)]
)
def test_the_rank_with_the_largest_share_gathers_and_rank_0_where_shares_are_alike(sizes: list[int] | None, root: int):
    assert plan_root(sizes) == root


def test_groups_have_keys_of_their_own_and_the_run_its_own():
    run_key = bytes(32)
    keys = [GroupPlace(suffix, (0, 1), 0).key(run_key) for suffix in ("", "/1", "/2")]
    assert keys[0] == run_key
    assert len(set(keys)) == 3
    assert {len(key) for key in keys} == {32}


def test_a_tree_is_as_wide_as_it_has_inner_ranks():
    assert [tree_width(world_size) for world_size in (1, 2, 3, 5, 6, 10_000)] == [1, 1, 2, 2, 3, 100]
