"""The command: flags to a plan, the plan to figures, these to tables and files."""

import argparse
import sys
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import Any

from rich.console import Console

from lambda_image.errors import InvalidEvent
from scripts.bench.comm.calibrate import STEPS, measure_costs, show_costs
from scripts.bench.comm.contenders import GLOO
from scripts.bench.comm.measure import Results, measure
from scripts.bench.comm.operations import OPERATIONS
from scripts.bench.comm.picture import draw
from scripts.bench.comm.plan import QUICK, Plan
from scripts.bench.comm.tables import result_tables
from scripts.bench.errors import BenchmarkError
from scripts.bench.files import check_files, tell_failures, write_files
from scripts.bench.machine import describe_machine
from scripts.bench.progress import BenchProgress

TABLE_WIDTH = 140  # where the output is no terminal, which would know its own
PACKAGES = ("cosmicai", "torch", "numpy", "matplotlib")
MOST_RANKS = 64  # of which each contender has processes of its own


def run(args: argparse.Namespace, plan: Plan | None = None) -> int:
    """`plan`: another one than the flags choose."""
    operations = _operations(args.only)
    plan = plan or (QUICK if args.quick else Plan())
    if args.ranks is not None:
        plan = replace(plan, worlds=_worlds(args.ranks))
    check_files(args.json, args.picture)
    if sys.platform != "linux":
        raise BenchmarkError("this benchmark needs Linux: /proc, and one clock for all processes")
    console = Console(width=None if sys.stdout.isatty() else TABLE_WIDTH, highlight=False)
    report: dict[str, Any] = {
        "benchmark": "comm",
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(PACKAGES),
    }
    if args.calibrate:
        if args.picture is not None:
            raise InvalidEvent("--picture with --calibrate: constants make no picture")
        with BenchProgress(sys.stdout, STEPS) as progress:
            costs = measure_costs(plan, progress)
        show_costs(costs, console)
        write_files(report | {"costs": asdict(costs)}, args.json, None, draw, console)
        return 0
    if find_spec("torch") is None:
        console.print("Gloo is left out: PyTorch is not installed", markup=False)
        plan = replace(plan, contenders=tuple(one for one in plan.contenders if one.kind != GLOO))
    results = Results()
    with BenchProgress(sys.stdout, plan.steps(operations)) as progress:
        measure(plan, operations, results, progress)
    report |= results.to_json()
    console.print(result_tables(results, console))
    write_files(report, args.json, args.picture, draw, console)
    return tell_failures(results.failures)


def _operations(only: str) -> tuple[str, ...]:
    asked = [name.strip() for name in only.split(",")]
    if unknown := [name for name in asked if name not in OPERATIONS]:
        raise InvalidEvent(f"--only {only}: {unknown[0]!r} is unknown; allowed: {', '.join(OPERATIONS)}")
    return tuple(name for name in OPERATIONS if name in asked)


def _worlds(ranks: str) -> tuple[int, ...]:
    try:
        worlds = tuple(dict.fromkeys(int(number) for number in ranks.split(",")))
    except ValueError:
        worlds = ()
    if not worlds or not all(2 <= world <= MOST_RANKS for world in worlds):
        raise InvalidEvent(f"--ranks {ranks}; allowed: whole numbers from 2 to {MOST_RANKS}, separated by commas")
    return worlds
