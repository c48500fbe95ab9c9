import io
from collections.abc import Mapping

import pytest

from scripts.bench.errors import BenchmarkError
from scripts.bench.scale import measure as measuring
from scripts.bench.scale.measure import PART_ROUNDS, measure
from scripts.bench.scale.plan import PARTS, ScalePlan
from scripts.series import Round
from scripts.step_progress import StepProgress

PLAN = ScalePlan(objects=(10, 2000), ranks=(100,), rounds=2)


def test_every_part_of_the_flag_can_be_measured():
    assert tuple(PART_ROUNDS) == PARTS


def test_sizes_take_turns_and_one_that_fails_is_left_out():
    asked = []

    def once(plan: ScalePlan, objects: int, limit_s: float) -> Round:
        asked.append(objects)
        if objects == 2000:
            raise BenchmarkError("too large")
        return {"seconds": 1.0}

    rounds: Mapping[str, measuring.PartRound] = {"init": once}
    results = measure(PLAN, ["init"], StepProgress(io.StringIO()), rounds)
    assert asked == [10, 2000, 10]
    assert results.failures == ["init, 2,000 objects: too large"]
    small, large = results.to_json()["init"]
    assert (small["objects"], small["ranks"], len(small["rounds"])) == (10, 10, 2)
    assert (large["objects"], large["ranks"], large["rounds"]) == (2000, 100, [])


def test_a_part_that_nobody_knows_is_a_mistake():
    with pytest.raises(KeyError):
        measure(PLAN, ["other"], StepProgress(io.StringIO()), {})
