"""The command, which makes a benchmark of its flags."""

import argparse
from dataclasses import replace
from functools import partial
from importlib.util import find_spec

from lambda_image.errors import UsageError
from scripts.bench.comm.calibrate import CostResults, cost_tables, measure_costs
from scripts.bench.comm.contenders import GLOO
from scripts.bench.comm.measure import CommResults, measure
from scripts.bench.comm.operations import OPERATIONS
from scripts.bench.comm.picture import draw
from scripts.bench.comm.plan import QUICK, CommPlan
from scripts.bench.comm.tables import result_tables
from scripts.bench.command import Benchmark, run_benchmark
from scripts.flag_values import parse_names, parse_numbers
from scripts.step_progress import StepProgress

TABLE_WIDTH = 140
PACKAGES = ("cosmicai", "torch", "numpy", "matplotlib")
MOST_RANKS = 64  # of which each contender has processes of its own
LINUX_FOR = "/proc, and one clock for all processes"


def run(args: argparse.Namespace, plan: CommPlan | None = None) -> int:
    """Run the benchmark. `plan` is another one than the flags choose."""
    operations = parse_names("--only", args.only, OPERATIONS)
    plan = plan or (QUICK if args.quick else CommPlan())
    if args.ranks is not None:
        plan = replace(plan, worlds=tuple(parse_numbers("--ranks", args.ranks, 2, MOST_RANKS)))
    if args.calibrate:
        if args.picture is not None:
            raise UsageError("--picture with --calibrate: constants make no picture")
        costs = Benchmark[CostResults](
            name="comm",
            packages=PACKAGES,
            measure=partial(measure_costs, plan),
            tables=lambda results, console: cost_tables(results.costs),
            draw=draw,
            table_width=TABLE_WIDTH,
            linux_for=LINUX_FOR,
        )
        return run_benchmark(costs, args.json, None, overwrite=args.overwrite)

    def measure_all(progress: StepProgress) -> CommResults:
        return measure(_without_gloo(plan, progress) if find_spec("torch") is None else plan, operations, progress)

    benchmark = Benchmark(
        name="comm",
        packages=PACKAGES,
        measure=measure_all,
        tables=result_tables,
        draw=draw,
        table_width=TABLE_WIDTH,
        linux_for=LINUX_FOR,
    )
    return run_benchmark(benchmark, args.json, args.picture, overwrite=args.overwrite)


def _without_gloo(plan: CommPlan, progress: StepProgress) -> CommPlan:
    progress.say("Gloo is left out, because PyTorch is not installed")
    return replace(plan, contenders=tuple(one for one in plan.contenders if one.kind != GLOO))
