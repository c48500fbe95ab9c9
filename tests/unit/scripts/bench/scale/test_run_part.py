from scripts.bench.scale.run_part import groups_of, without


def test_a_star_is_one_group_below_rank_0():
    assert groups_of(4, 0) == [(None, [1, 2, 3])]


def test_a_tree_has_a_group_for_each_inner_rank():
    assert groups_of(8, 3) == [(1, [2, 3]), (4, [5, 6]), (7, [])]


def test_every_rank_but_the_root_is_in_one_group():
    for ranks, width in ((257, 16), (2048, 46), (10_000, 100)):
        found = [rank for inner, leaves in groups_of(ranks, width) for rank in (inner, *leaves)]
        assert sorted(rank for rank in found if rank is not None) == list(range(1, ranks))


def test_ranks_that_are_measured_are_not_in_the_crowd():
    groups = groups_of(8, 3)
    assert without(groups, [0, 1, 2]) == [(None, [3]), (4, [5, 6]), (7, [])]
    assert without(groups_of(2, 0), [0, 1]) == []
