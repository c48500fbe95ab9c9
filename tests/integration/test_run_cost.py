"""What `cosmicai deploy` says that a run costs, against what the summary of such a run counts."""

import json
from statistics import median

import pytest

from lambda_image.settings import MB_PER_VCPU
from scripts.stack.costs import Speed, run_cost
from tests.integration.system import System

RANKS, PARTITIONS, GALAXIES = 4, 4, 1200  # of `many_galaxies`


def test_the_estimate_is_within_a_fifth_of_the_cost_that_the_summary_counts(system: System, many_galaxies: str):
    """The speed is this machine's. Everything else of the estimate is as it is for AWS."""
    ended = system.run(data_prefix=many_galaxies, world_size=RANKS, batch_size=64)
    summary = json.loads(ended["output"])
    records = [system.json(f"{summary['result_path']}/{rank}.json") for rank in range(RANKS)]
    phases, memory_mb = [record["phases"] for record in records], records[0]["memory_size_mb"]
    speed = Speed(
        galaxies_per_vcpu_s=median(record["sample_persec"] for record in records) / (memory_mb / MB_PER_VCPU),
        start_s=median(each["cold_start_s"] for each in phases),
        transfer_s=median(each["total_s"] - each["inference_s"] for each in phases),
    )
    estimated = run_cost(RANKS, GALAXIES, memory_mb, partitions=PARTITIONS, speed=speed)
    assert summary["samples"] == GALAXIES
    assert estimated.total_usd == pytest.approx(summary["cost_usd"], rel=0.2)
    assert estimated.step_functions_usd == pytest.approx(summary["cost"]["step_functions_usd"])
