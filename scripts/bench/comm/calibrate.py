"""The constants of the cost model (lambda_image/comm/operations/cost_model.py), measured on this machine."""

import time
from statistics import median

import numpy as np
from rich.console import Console
from rich.table import Table

from lambda_image.comm.channel.signals import Kind
from lambda_image.comm.operations.cost_model import Costs, choose
from scripts.bench.comm.contenders import OURS, Contender
from scripts.bench.comm.measure import TIME, figures_of
from scripts.bench.comm.operations import BARRIER, GATHER
from scripts.bench.comm.plan import Case, Plan, in_bytes
from scripts.bench.comm.ranks import Ranks, running
from scripts.bench.progress import BenchProgress
from scripts.bench.servers import our_server

STAR = Contender("ours, star only", OURS, "star into")
LARGE = 20_000_000
HUB_RANKS = 4  # the centre of so many
STEPS = 4
SHOWN_WORLDS, SHOWN_SIZES = (4, 8, 16, 64), (1_000, 1_000_000, 20_000_000)


def measure_costs(plan: Plan, progress: BenchProgress) -> Costs:
    """What a rank does itself is taken from its CPU time, which ranks that share processors do not change. Tags are on,
    as they are in every run.
    """
    barrier, gather = Case(BARRIER, 0), Case(GATHER, LARGE)
    with our_server() as server:
        with running(STAR, 2, server, plan.limit_s) as ranks:
            progress.step("barrier of 2 ranks")
            round_trip, _ = _medians(ranks, barrier, plan)
            progress.step("gather of 20 MB from one rank")
            _, transfer = _medians(ranks, gather, plan)
        with running(STAR, HUB_RANKS, server, plan.limit_s) as ranks:
            progress.step(f"barrier of {HUB_RANKS} ranks")
            _, hub = _medians(ranks, barrier, plan)
    progress.step("addition of arrays")
    combine = _addition(plan.rounds) / LARGE
    return solve(round_trip=round_trip, hub_cpu=hub[0], transfer_cpu=max(transfer), combine=combine)


def solve(*, round_trip: float, hub_cpu: float, transfer_cpu: float, combine: float) -> Costs:
    """From seconds: a barrier of 2 ranks takes 2 latency + 2 message, the centre of a star of HUB_RANKS has a message
    from each other rank and one to each, and the busier end of a transfer spends message + byte for each one.
    """
    message = hub_cpu / (2 * (HUB_RANKS - 1))
    latency = max(0.0, round_trip / 2 - message)  # noise makes nothing less than nothing
    return Costs(latency, message, max(0.0, transfer_cpu - message) / LARGE, combine)


def _medians(ranks: Ranks, case: Case, plan: Plan) -> tuple[float, list[float]]:
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


def show_costs(costs: Costs, console: Console) -> None:
    figures = ", ".join(f"{name}={getattr(costs, name):.3g}" for name in ("latency", "message", "byte", "combine"))
    console.print(f"MEASURED = Costs({figures})  # seconds; lambda_image/comm/operations/cost_model.py", markup=False)
    table = Table(title="what these choose", title_justify="left")
    table.add_column("operation")
    table.add_column("ranks", justify="right")
    for size in SHOWN_SIZES:
        table.add_column(in_bytes(size))
    for kind in (Kind.BARRIER, Kind.BCAST, Kind.REDUCE, Kind.ALLREDUCE, Kind.SCAN):
        for world_size in SHOWN_WORLDS:
            sizes = SHOWN_SIZES if kind is not Kind.BARRIER else (0,)
            chosen = [choose(kind, world_size, size, divisible=size > 0, costs=costs).value for size in sizes]
            table.add_row(kind.name.lower(), str(world_size), *chosen)
    console.print(table)
