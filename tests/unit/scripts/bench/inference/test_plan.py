from scripts.bench.inference.contenders import FAST, PUBLISHED
from scripts.bench.inference.plan import QUICK, InferencePlan


def test_contenders_take_turns_and_the_published_loop_has_its_own_batch_size():
    plan = InferencePlan(rounds=3, batch_sizes=(8, 16), published_batch_size=512, cold_starts=2)
    names = [FAST, "other", PUBLISHED]
    turns = list(plan.turns(names))
    assert turns == [(FAST, 8), ("other", 8), (FAST, 16), ("other", 16), (PUBLISHED, 512)]
    assert plan.steps(names) == 3 * (1 + 5) + 2 * (1 + 3)


def test_a_gpu_has_galaxies_for_its_larger_batches():
    for plan in (InferencePlan(), QUICK):
        gpu = plan.for_a_gpu()
        assert min(gpu.batch_sizes) >= 1024
        assert max(gpu.batch_sizes) <= gpu.galaxies
