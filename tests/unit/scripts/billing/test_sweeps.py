from dataclasses import replace

import pytest

from lambda_image.cost import BillingTerms, usd_of
from scripts.billing.sources import of_records
from scripts.billing.sweeps import BY_PARTITION, sweep_cost_table, sweep_costs
from tests.unit.scripts.billing.test_tables import shown
from tests.unit.scripts.sweep.measured import measured, sweep

TERMS = BillingTerms()


def test_a_row_for_each_configuration_with_medians_over_its_repeats():
    rows = sweep_costs(sweep(), TERMS, 512)
    assert [(row["world_size"], row["runs"]) for row in rows] == [(1, 2), (2, 2), (4, 2)]
    run = sweep()[0]
    assert run.summary is not None
    bills = [
        of_records(one.records, one.summary["world_size"], one.summary, True).bill(TERMS)
        for one in (sweep()[0], sweep()[3])
        if one.summary is not None
    ]
    totals = [usd_of(lines) for lines in bills]
    assert rows[0]["usd"] == pytest.approx(sum(totals) / 2)
    assert (rows[0]["usd_least"], rows[0]["usd_most"]) == (min(totals), max(totals))
    galaxies = sum(record["samples"] for record in run.records)
    assert rows[0]["usd_per_million"] == pytest.approx(rows[0]["usd"] / galaxies * 1e6)
    assert 0 < rows[0]["lambda_usd"] < rows[0]["usd"]
    waiting = sum(one["phases"]["gather_s"] * one["memory_size_mb"] / 1024 for one in run.records)
    assert rows[0]["waiting_usd"] == pytest.approx(waiting * 0.0000166667)


def test_runs_of_one_partition_size_are_one_row():
    runs = [
        replace(one, configuration=replace(one.configuration, partition_mb=size))
        for size in (25.0, 50.0)
        for one in (measured(1), measured(2))
    ]
    rows = sweep_costs(runs, TERMS, 512, BY_PARTITION)
    assert [(row["partition_mb"], row["runs"]) for row in rows] == [(25.0, 2), (50.0, 2)]
    lines = shown(sweep_cost_table("sweep", rows, BY_PARTITION))
    assert lines[-2].startswith("25 2 8.00 s")


def test_a_run_whose_time_is_not_known_costs_without_its_server():
    one = measured(1)
    assert one.summary is not None
    cost = {**one.summary["cost"], "rendezvous_usd": None}
    unknown = replace(one, summary={**one.summary, "wall_s": None, "cost": cost})
    (row,) = sweep_costs([unknown], TERMS, 512)
    assert (row["wall_s"], row["gb_s_per_usd"]) == (None, None)
    assert row["usd"] < sweep_costs([one], TERMS, 512)[0]["usd"]
    assert shown(sweep_cost_table("sweep", [row]))[-1].split()[:5] == ["1", "32", "40", "1", "-"]


def test_without_a_run_there_is_no_row():
    assert sweep_costs(sweep()[-2:], TERMS, 512) == []
