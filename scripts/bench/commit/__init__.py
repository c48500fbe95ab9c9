"""cosmicai bench commit: this checkout beside an earlier commit of it, in interleaved pairs."""

import argparse
from dataclasses import replace

from scripts.bench.command import Benchmark, run_benchmark
from scripts.bench.commit.checkout import at_commit, compile_engine
from scripts.bench.commit.measure import CommitResults, measure
from scripts.bench.commit.picture import draw
from scripts.bench.commit.plan import QUICK, CommitPlan
from scripts.bench.commit.tables import result_tables
from scripts.bench.flags import add_common_arguments
from scripts.bench.processes import ROOT
from scripts.flag_values import check_whole
from scripts.step_progress import StepProgress

HELP = "start of a rank and a whole run of this checkout, beside those of an earlier commit"
EXAMPLE = "cosmicai bench commit HEAD~1 --json bench.json"

PACKAGES = ("cosmicai", "torch", "numpy", "moto")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("base", metavar="COMMIT", help="the earlier commit (a hash, a tag, HEAD~1)")
    parser.add_argument("--pairs", type=int, help="pairs of measurements (default: 30, with --quick 3)")
    parser.add_argument("--world-size", type=int, default=4, help="ranks of the run; make demo has 4")
    add_common_arguments(parser, quick="3 pairs, which show that it works and no more")


def run(args: argparse.Namespace, plan: CommitPlan | None = None) -> int:
    """Run the benchmark. `plan` is another one than the flags choose."""
    check_whole("--world-size", args.world_size)
    plan = plan or (QUICK if args.quick else CommitPlan())
    check_whole("--pairs", args.pairs)
    if args.pairs is not None:
        plan = replace(plan, pairs=args.pairs)

    def measure_all(progress: StepProgress) -> CommitResults:
        with at_commit(args.base, progress.say) as base:
            compile_engine(ROOT, "this checkout", progress.say)  # one that is stale would leave the work to PyTorch
            return measure(plan, base, ROOT, args.world_size, progress)

    benchmark = Benchmark(
        name="commit",
        packages=PACKAGES,
        measure=measure_all,
        tables=lambda results, console: result_tables(results),
        draw=draw,
        settings={"base": args.base, "world_size": args.world_size},
    )
    return run_benchmark(benchmark, args.json, args.picture, overwrite=args.overwrite)
