"""The command, which makes a benchmark of its flags."""

import argparse

from lambda_image.errors import UsageError
from scripts.bench.command import Benchmark, run_benchmark
from scripts.bench.input.measure import measure
from scripts.bench.input.tables import result_tables
from scripts.flag_values import check_whole

PACKAGES = ("cosmicai", "numpy", "torch", "safetensors", "arro3-core")


def run(args: argparse.Namespace) -> int:
    """Run the benchmark."""
    check_whole("--mutations", args.mutations)
    check_whole("--seed", args.seed, 0)
    check_whole("--only", args.only, 0)
    if args.keep is not None and not args.keep.is_dir():
        raise UsageError(f"--keep {args.keep} is no folder: make it first")
    numbers = range(args.mutations) if args.only is None else [args.only]
    benchmark = Benchmark(
        name="input",
        packages=PACKAGES,
        settings={"seed": args.seed, "mutations": len(numbers)},
        measure=lambda progress: measure(args.seed, numbers, args.keep, progress),
        tables=lambda results, console: result_tables(results),
        draw=lambda report, file: False,
        linux_for="it limits the memory of the process that reads",
    )
    return run_benchmark(benchmark, args.json, None, overwrite=args.overwrite)
