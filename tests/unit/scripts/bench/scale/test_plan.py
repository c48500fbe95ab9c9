from scripts.bench.scale.plan import PARTS, ScalePlan


def test_a_few_objects_have_a_rank_each():
    plan = ScalePlan(ranks=(8, 100))
    assert [plan.world_size(count) for count in (10, 100, 1000)] == [10, 100, 100]


def test_every_part_has_its_sizes_and_rounds():
    plan = ScalePlan(objects=(10, 1000), ranks=(8, 100), galaxies=5, loads=(7,), rounds=4, run_rounds=2)
    runs = [{"ranks": 8, "galaxies": 40}, {"ranks": 100, "galaxies": 500}]
    found = {part: plan.labels(part) for part in PARTS}
    init = [{"objects": 10, "ranks": 10}, {"objects": 1000, "ranks": 100}]
    assert found == {"init": init, "rank": [{"galaxies": 7}], "summarize": runs, "run": runs}
    assert [plan.rounds_of(part) for part in PARTS] == [4, 4, 4, 2]
