import pytest
from rich.console import Console

from lambda_image.comm.operations.cost_model import Costs
from scripts.bench.comm.calibrate import LARGE, ROOT_RANKS, cost_tables, solve

COSTS = Costs(latency=30e-6, message=10e-6, byte=1e-9, combine=0.1e-9)


def test_constants_come_back_from_the_times_that_they_give():
    solved = solve(
        round_trip=2 * (COSTS.latency + COSTS.message),
        root_cpu=2 * (ROOT_RANKS - 1) * COSTS.message,
        transfer_cpu=COSTS.message + LARGE * COSTS.byte,
        combine=COSTS.combine,
    )
    for name in ("latency", "message", "byte", "combine"):
        assert getattr(solved, name) == pytest.approx(getattr(COSTS, name))


def test_noise_makes_nothing_negative():
    assert solve(round_trip=1e-5, root_cpu=6.0, transfer_cpu=1e-5, combine=0.0) == Costs(0.0, 1.0, 0.0, 0.0)


def test_the_constants_are_shown_as_the_code_has_them():
    console = Console(width=120)
    with console.capture() as capture:
        console.print(cost_tables(COSTS))
    assert "MEASURED = Costs(latency=3e-05, message=1e-05, byte=1e-09, combine=1e-10)" in capture.get()
    assert "allreduce" in capture.get()
