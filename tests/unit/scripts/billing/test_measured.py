from dataclasses import replace

import pytest

from lambda_image.cost import Billed, BillingTerms, usd_of
from scripts.billing.measured import MeasuredRun, RankTimes, WhatIf, by_partition, by_rank, supposed
from scripts.stack.costs import vcpus

TERMS = BillingTerms()
ONE = RankTimes(
    2048, inference_s=8.0, start_s=1.0, read_s=2.0, waiting_s=0.5, other_s=0.5, puts=3, gets=2, rank=0,
    rows={"a": 30, "b": 10},
)  # fmt: skip
RUN = MeasuredRun(
    "run", [ONE, replace(ONE, rank=1, rows={"c": 20, "d": 20})], 2, others=[Billed(1.0, 1024)], wall_s=14.0
)


def test_a_rank_is_billed_for_all_of_its_seconds():
    one = ONE.billed(1024)
    assert (one.seconds, one.start_s, one.waiting_s, one.storage_mb) == (12.0, 1.0, 0.5, 1024)


def test_the_server_is_paid_for_as_long_as_the_run_and_only_where_there_is_one():
    assert usd_of(RUN.bill(TERMS), "rendezvous server") > 0
    assert usd_of(replace(RUN, with_rendezvous=False).bill(TERMS), "rendezvous server") == 0


def test_half_the_memory_doubles_the_inference_and_nothing_else():
    run = supposed(RUN, WhatIf(memory_mb=1024))
    assert [one.inference_s for one in run.times] == [pytest.approx(16.0)] * 2
    assert run.wall_s == pytest.approx(22.0)
    assert usd_of(run.bill(TERMS), "Lambda") < usd_of(RUN.bill(TERMS), "Lambda")  # starting and reading cost half


def test_memory_beyond_six_processors_costs_and_does_not_help():
    assert (vcpus(10_240), vcpus(20_480)) == (pytest.approx(10_240 / 1769), 6)
    large = replace(RUN, times=[replace(one, memory_mb=12_000) for one in RUN.times])
    assert supposed(large, WhatIf(memory_mb=24_000)).times[0].inference_s == pytest.approx(8.0)


def test_another_world_size_deals_whole_files():
    run = supposed(RUN, WhatIf(world_size=3))  # 4 files
    assert [one.inference_s for one in run.times] == [pytest.approx(16 * share / 4) for share in (2, 1, 1)]
    assert sum(one.read_s for one in run.times) == pytest.approx(4.0)
    assert (run.ranks, run.others[0].gets, run.wall_s) == (3, 3, pytest.approx(14.0))
    alone = supposed(RUN, WhatIf(world_size=1))
    assert alone.times[0].seconds == pytest.approx(16 + 4 + 2.0)
    assert supposed(RUN, WhatIf(world_size=6)).times[5].inference_s == 0


def test_rows_are_dealt_where_no_files_are_known():
    run = replace(RUN, times=[replace(one, rows={}) for one in RUN.times])
    assert [one.inference_s for one in supposed(run, WhatIf(world_size=8)).times] == [pytest.approx(2.0)] * 8


def test_nothing_changes_without_a_change():
    assert supposed(RUN, WhatIf(architecture="arm64")) is RUN


def test_ranks_and_partitions_cost_what_the_bill_says_without_what_is_the_runs():
    ranks, parts = by_rank(RUN, TERMS), by_partition(RUN, TERMS)
    alone = usd_of([line for line in replace(RUN, others=[]).bill(TERMS)
                    if line.service != "rendezvous server" and line.part != "transitions of the run"])  # fmt: skip
    assert sum(one.usd for one in ranks) == pytest.approx(alone)
    assert sum(one.usd for one in parts) == pytest.approx(alone)
    assert [(one.name, one.galaxies, one.seconds) for one in parts][:2] == [("a", 30, 9.0), ("b", 10, 3.0)]
    assert [(one.name, one.galaxies) for one in ranks] == [("0", 40), ("1", 40)]
