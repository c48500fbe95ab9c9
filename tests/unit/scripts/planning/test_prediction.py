from dataclasses import replace

import pytest

from lambda_image.cost import BillingTerms, usd_of
from scripts.planning.calibration import from_records
from scripts.planning.prediction import REQUEST_S, TABLES_AT_ONCE, Case, forecast
from tests.unit.scripts.planning.test_calibration import CLOUD, rank

HERE = from_records([rank(0), rank(1)], 4.0, 2, 4)
THERE = replace(
    from_records([rank(0, CLOUD), rank(1, CLOUD)], 4.5, 2, 4), cpu_s=0.002, read_s=1e-8, fixed_s=0.1, overhead_s=1.0
)


def lambda_case(**more: float) -> Case:
    given = {"galaxies": 100_000, "partitions": 100, "world_size": 100, "memory_mb": 1769} | more
    return Case(**given)  # type: ignore[arg-type]


def test_a_run_predicts_itself():
    found = forecast(HERE, Case(200, 4, 2, 3072, local=True))
    assert found.wall_s == pytest.approx(4.0, rel=0.01)
    assert found.gathered
    assert found.possible


def test_ranks_of_one_machine_share_its_cores():
    one, eight = (forecast(HERE, Case(800, 8, world, 3072, local=True)).wall_s for world in (1, 8))
    assert one == pytest.approx(eight, rel=0.01)
    assert forecast(HERE, Case(1600, 8, 8, 3072, local=True)).wall_s > 1.8 * eight - HERE.overhead_s - 1
    uneven = forecast(HERE, Case(800, 8, 3, 3072, local=True)).wall_s  # one rank has 3 of 8 partitions
    assert uneven > eight


def test_ranks_on_lambda_have_processors_of_their_own():
    small, large = forecast(THERE, lambda_case()), forecast(THERE, lambda_case(memory_mb=3538))
    assert small.slowest_rank_s - large.slowest_rank_s == pytest.approx(1000 * 0.002 / 2)
    assert small.wall_s == pytest.approx(1.0 + small.slowest_rank_s + THERE.gather_s + 0.06, abs=0.1)
    assert small.slowest_rank_s == pytest.approx(1.0 + 1000 * (0.002 + 20_500 * 1e-8) + 0.1)
    assert small.total_s == small.wall_s + small.summarize_s


def test_the_cost_is_that_of_the_bill():
    found = forecast(THERE, lambda_case(), BillingTerms("arm64"))
    assert found.usd == pytest.approx(usd_of(found.lines))
    assert found.usd < forecast(THERE, lambda_case()).usd
    assert next(line.quantity for line in found.lines if line.part == "transitions of the ranks") == 200


def test_rank_0_waits_for_the_slowest():
    found = forecast(THERE, lambda_case(partitions=150))  # half of the ranks have two partitions
    even = forecast(THERE, lambda_case(partitions=100))
    part = "ranks waiting in the gather"
    waiting, least = (next(line.quantity for line in one.lines if line.part == part) for one in (found, even))
    assert waiting == pytest.approx(least, rel=0.02)  # rank 0 has the largest share, and waits for nobody


def test_beyond_the_burst_ranks_start_later_and_refused_starts_are_billed():
    found = forecast(THERE, lambda_case(partitions=3000, world_size=3000, quota=10_000, galaxies=30_000_000))
    assert found.last_start_s >= 20
    assert found.refused > 0
    assert any(line.part == "retries of refused starts" and line.quantity == found.refused for line in found.lines)
    assert found.gathered


def test_beyond_the_quota_parts_travel_by_s3():
    found = forecast(THERE, lambda_case(quota=50))
    assert not found.gathered
    assert usd_of(found.lines, "rendezvous server") == 0
    tables_s = found.case.world_size / TABLES_AT_ONCE * REQUEST_S
    assert found.summarize_s == pytest.approx(forecast(THERE, lambda_case()).summarize_s + tables_s)


@pytest.mark.parametrize(
    ("case", "said"),
    [
        (lambda_case(world_size=1), "Lambda ends it after 900 s"),
        (lambda_case(memory_mb=128), "a rank needs 166 MB"),
        (lambda_case(partitions=400, world_size=400, galaxies=400 * 200_000, quota=1), "find no room"),
    ],
)
def test_what_cannot_be(case: Case, said: str):
    found = forecast(replace(THERE, cpu_s=0.009 if case.world_size == 1 else 0.002), case)
    assert not found.possible
    assert said in "; ".join(found.problems)
