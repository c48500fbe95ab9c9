"""The constants of the cost model (lambda_image/comm/operations/cost_model.py), measured on this machine."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lambda_image.comm.channel.signals import Kind
from lambda_image.comm.operations.cost_model import Costs, choose
from scripts.bench.comm.contenders import OURS, Contender
from scripts.bench.comm.measure import TIME, figures_of
from scripts.bench.comm.operations import BARRIER, GATHER
from scripts.bench.comm.plan import CommPlan, OperationCase, format_size
from scripts.bench.comm.ranks import Ranks, running
from scripts.bench.servers import our_server
from scripts.step_progress import StepProgress

STAR = Contender("ours, star only", OURS, "star into")
LARGE = 20_000_000
ROOT_RANKS = 4  # the world whose root is measured
STEPS = 4
SHOWN_WORLDS, SHOWN_SIZES = (4, 8, 16, 64), (1_000, 1_000_000, 20_000_000)


@dataclass(frozen=True)
class CostResults:
    """The constants, as the results of a benchmark."""

    costs: Costs
    failures: Sequence[str] = ()  # what fails ends the benchmark

    def to_json(self) -> dict[str, Any]:
        """Return what the report holds beside the machine."""
        return {"costs": asdict(self.costs)}


def measure_costs(plan: CommPlan, progress: StepProgress) -> CostResults:
    """Measure the constants.

    What a rank does itself is taken from its CPU time, which ranks that share processors do not change. They encrypt,
    as they are in every run.
    """
    progress.begin(STEPS)
    barrier, gather = OperationCase(BARRIER, 0), OperationCase(GATHER, LARGE)
    with our_server() as server:
        with running(STAR, 2, server, plan.limit_s) as ranks:
            progress.step("barrier of 2 ranks")
            round_trip, _ = _medians(ranks, barrier, plan)
            progress.step("gather of 20 MB from one rank")
            _, transfer = _medians(ranks, gather, plan)
        with running(STAR, ROOT_RANKS, server, plan.limit_s) as ranks:
            progress.step(f"barrier of {ROOT_RANKS} ranks")
            _, root = _medians(ranks, barrier, plan)
    progress.step("addition of arrays")
    combine = _addition(plan.rounds) / LARGE
    costs = solve(round_trip=round_trip, root_cpu=root[0], transfer_cpu=max(transfer), combine=combine)
    return CostResults(costs)


def solve(*, round_trip: float, root_cpu: float, transfer_cpu: float, combine: float) -> Costs:
    """Return the constants that lead to these times, which are in seconds.

    A barrier of 2 ranks takes 2 latency + 2 message. The root of a star of ROOT_RANKS has a message from each other
    rank and one to each. The busier end of a transfer spends message + byte for each byte.
    """
    message = root_cpu / (2 * (ROOT_RANKS - 1))
    latency = max(0.0, round_trip / 2 - message)  # noise makes nothing less than nothing
    return Costs(latency, message, max(0.0, transfer_cpu - message) / LARGE, combine)


def _medians(ranks: Ranks, case: OperationCase, plan: CommPlan) -> tuple[float, list[float]]:
    """Seconds: how long it takes, and the CPU time of each rank."""
    rounds = [ranks.round(case.operation, case.size, plan.count(case.size), plan.warm_up) for _ in range(plan.rounds)]
    times = [figures_of(case, len(ranks.processes), answers)[TIME] / 1e3 for answers in rounds]
    cpu = [[median(answer["cpu"]) / 1e9 for answer in answers] for answers in rounds]
    return median(times), [median(one) for one in zip(*cpu, strict=True)]


def _addition(rounds: int) -> float:
    """Seconds to add an array to another."""
    one, other = (np.arange(LARGE // 4, dtype=np.float32) for _ in range(2))
    times = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        np.add(one, other, out=one)
        times.append(time.perf_counter() - began)
    return median(times[1:])


def cost_tables(costs: Costs) -> RenderableType:
    """Return the constants as the code has them, and which algorithms they choose."""
    figures = ", ".join(f"{name}={getattr(costs, name):.3g}" for name in ("latency", "message", "byte", "combine"))
    line = Text(f"MEASURED = Costs({figures})  # seconds; lambda_image/comm/operations/cost_model.py")
    table = Table(title="what these choose", title_justify="left")
    table.add_column("operation")
    table.add_column("ranks", justify="right")
    for size in SHOWN_SIZES:
        table.add_column(format_size(size))
    for kind in (Kind.BARRIER, Kind.BCAST, Kind.REDUCE, Kind.ALLREDUCE, Kind.SCAN):
        for world_size in SHOWN_WORLDS:
            sizes = SHOWN_SIZES if kind is not Kind.BARRIER else (0,)
            chosen = [choose(kind, world_size, size, divisible=size > 0, costs=costs).value for size in sizes]
            table.add_row(kind.name.lower(), str(world_size), *chosen)
    return Group(line, table)
