"""The command, which makes a benchmark of its flags."""

import argparse
from dataclasses import asdict, replace
from typing import Any

from lambda_image.errors import UsageError
from lambda_image.events import MAX_LIMIT, MAX_WORLD_SIZE
from scripts.bench.command import Benchmark, run_benchmark
from scripts.bench.scale.measure import measure
from scripts.bench.scale.picture import draw
from scripts.bench.scale.plan import PARTS, QUICK, ScalePlan
from scripts.bench.scale.tables import result_tables
from scripts.flag_values import check_whole, parse_names, parse_numbers

PACKAGES = ("cosmicai", "boto3", "botocore", "uvloop")
MOST_OBJECTS = 10_000_000
MOST_GALAXIES = 1_000_000
MOST_LOAD = 100_000_000
FEWEST_RANKS = 2  # rank 0, and one that gives it its part
LONGEST_MS = 10_000


def run(args: argparse.Namespace) -> int:
    """Run the benchmark."""
    parts, plan = parse_names("--only", args.only, PARTS), plan_of(args)
    benchmark = Benchmark(
        name="scale",
        packages=PACKAGES,
        settings={"plan": asdict(plan)},
        measure=lambda progress: measure(plan, parts, progress),
        tables=lambda results, console: result_tables(results),
        draw=draw,
        linux_for="peak memory in /proc",
    )
    return run_benchmark(benchmark, args.json, args.picture, overwrite=args.overwrite)


def plan_of(args: argparse.Namespace) -> ScalePlan:
    """Return what the flags ask for.

    Raises:
        UsageError: A value is not allowed.
    """
    plan = QUICK if args.quick else ScalePlan()
    if args.objects is not None:
        plan = replace(plan, objects=tuple(parse_numbers("--objects", args.objects, 1, MOST_OBJECTS)))
    if args.ranks is not None:
        plan = replace(plan, ranks=tuple(parse_numbers("--ranks", args.ranks, FEWEST_RANKS, MAX_WORLD_SIZE)))
    if args.loads is not None:
        plan = replace(plan, loads=tuple(parse_numbers("--loads", args.loads, 1, MOST_LOAD)))
    for name, least, most in (("rows", 1, MOST_LOAD), ("galaxies", 1, MOST_GALAXIES), ("gather_limit", 0, MAX_LIMIT)):
        given: Any = getattr(args, name)
        check_whole("--" + name.replace("_", "-"), given, least, most)
        if given is not None:
            plan = replace(plan, **{name: given})
    if args.answer_ms is not None:
        if not 0 <= args.answer_ms <= LONGEST_MS:
            raise UsageError(f"--answer-ms is {args.answer_ms:g}; allowed: milliseconds from 0 to {LONGEST_MS:,}")
        plan = replace(plan, answer_s=args.answer_ms / 1000)
    return plan
