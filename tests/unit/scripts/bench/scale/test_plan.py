from scripts.bench.scale.plan import ScalePlan


def test_a_few_objects_have_a_rank_each():
    plan = ScalePlan(ranks=100)
    assert plan.labels("rank")[0] == {"galaxies": 10_000}
    assert [plan.world_size(count) for count in (10, 100, 1000)] == [10, 100, 100]
