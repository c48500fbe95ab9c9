"""cosmicai plan: how long runs will take and what they will cost, by the phases of one that was measured."""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from lambda_image.cost import ARCHITECTURES, BillingTerms
from lambda_image.errors import UsageError
from lambda_image.events import MAX_WORLD_SIZE
from lambda_image.process import usable_cpus
from scripts.billing import tables
from scripts.billing.sources import TABLES_PER_RESULT
from scripts.billing.wishes import LAMBDA_MB, read_prices
from scripts.catalogue.run_source import find_run
from scripts.console import output_console, plain_table, print_tables
from scripts.flag_values import check_positive, check_whole, parse_numbers
from scripts.json_file import add_json
from scripts.output_files import check_files, write_figures
from scripts.planning.calibration import Calibration, calibrate
from scripts.planning.choices import choices, pareto, partition_mb
from scripts.planning.prediction import Forecast
from scripts.user_files import add_overwrite, check_there

HELP = "predict how long runs take on Lambda and what they cost, by one run that was measured"
EXAMPLE = "cosmicai plan out/demo --data-gb 100 --partition-mb 25,50,100 --memory 1769,3538 --picture plan.svg"

SIZES_MB = "10,25,50,75,100,250,1000"
MEMORIES = "1024,1769,3008,3538,5307,10240"
FEW = 1000  # galaxies of a rank, of which fewer take longer each: by 200 costs come out a fifth too high
QUIET = 0.5  # of the CPUs may be in use before runs are measured
MOST_GB = 1_000_000.0
GB = 2**30


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run_named", nargs="?", metavar="RUN", help="the folder of a run's results, or its name in out/"
    )
    data = parser.add_mutually_exclusive_group()
    data.add_argument("--data-gb", type=float, help="images and magnitudes, in 2^30 bytes; as much as the run had")
    data.add_argument("--galaxies", type=int, help="how many there are")
    parser.add_argument("--partition-mb", default=SIZES_MB, metavar="SIZES", help="sizes of a file, in 2^20 bytes")
    parser.add_argument("--memory", default=MEMORIES, metavar="SIZES", help="memory of a rank in MB")
    parser.add_argument("--world-size", metavar="RANKS", help="numbers of ranks; without it, a rank for each partition")
    parser.add_argument("--concurrency", type=int, default=1000, help="functions that the account runs at a time")
    parser.add_argument("--cold-start", type=float, metavar="SECONDS", help="of a rank; without it, as in the run")
    parser.add_argument("--architecture", choices=ARCHITECTURES, default="x86_64", help="of the functions, for prices")
    parser.add_argument("--prices", type=Path, metavar="FILE", help="a list like lambda_image/prices.json")
    parser.add_argument("--all", action="store_true", help="show every choice, not only those that nothing beats")
    parser.add_argument("--check", action="store_true", help="measure on this machine how far predictions are off")
    add_json(parser, "all figures")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="cost against time, .svg or .png")
    add_overwrite(parser, "the files that --json and --picture name")


def run(args: argparse.Namespace) -> int:
    check_files(args.json, args.picture, overwrite=args.overwrite)
    check_there("--prices", args.prices, "a list of prices")
    console = output_console(tables.WIDTH)
    if args.check:
        return _check(args, console)
    if args.run_named is None:
        raise UsageError("cosmicai plan needs the results of a run, or --check")
    sizes = parse_numbers("--partition-mb", args.partition_mb, 1, 100_000)
    memories = parse_numbers("--memory", args.memory, LAMBDA_MB.start, LAMBDA_MB.stop - 1)
    worlds = parse_numbers("--world-size", args.world_size, 1, MAX_WORLD_SIZE) if args.world_size else []
    check_whole("--concurrency", args.concurrency)
    check_positive("--data-gb", args.data_gb)
    check_positive("--cold-start", args.cold_start)
    if args.data_gb is not None and args.data_gb > MOST_GB:
        raise UsageError(f"--data-gb is {args.data_gb:g}; allowed: at most {MOST_GB:,.0f}")
    check_whole("--galaxies", args.galaxies)
    terms = BillingTerms(args.architecture, prices=read_prices(args.prices))
    measured = with_start(calibrate(find_run(args.run_named)), args.cold_start)
    galaxies = args.galaxies or measured.galaxies
    if args.data_gb is not None:
        galaxies = max(1, round(args.data_gb * GB / measured.galaxy_bytes))
    every = choices(measured, galaxies, sizes, memories, worlds, args.concurrency, terms)
    front = pareto(every)
    size = galaxies * measured.galaxy_bytes / GB
    console.print(f"{galaxies:,} galaxies, {size:,.2f} GB; prices: {terms.prices}", markup=False)
    console.print(results_line(measured, galaxies), markup=False)
    if few := few_words(measured):
        console.print(f"warning: {few}", markup=False)
    print_tables(console, _table(measured, every if args.all else front, front))
    for line in advice(measured, every, front):
        console.print(line, markup=False)
    report = {
        "measured": asdict(measured),
        "galaxies": galaxies,
        "choices": [_figures(measured, one, one in front) for one in every],
    }
    write_figures(report, args.json, console)
    if args.picture is not None and front:
        from scripts.planning.picture import draw

        draw(measured, every, front, args.picture)
        console.print(f"picture in {args.picture}", markup=False)
    return 0 if front else 1


def with_start(measured: Calibration, start_s: float | None) -> Calibration:
    """Replaces the cold start, where another is given, in seconds."""
    return measured if start_s is None else replace(measured, start_s=start_s)


def results_line(measured: Calibration, galaxies: int) -> str:
    """Says what a run leaves on S3: the tables of its ranks once more in that of all, and their distributions."""
    described = galaxies * measured.distribution_bytes / GB
    whole = galaxies * TABLES_PER_RESULT * measured.part_bytes / GB + described
    return f"results on S3: {whole:,.2f} GB" + (
        f", {described:,.2f} GB of it redshift distributions" if described else ""
    )


def few_words(measured: Calibration) -> str:
    """Says that a run was too small to tell of larger ones; empty where it was not."""
    if (each := measured.galaxies / measured.ranks) >= FEW:
        return ""
    return (
        f"a rank of this run had {each:,.0f} galaxies, so that its start is much of what is measured. The figures "
        f"below are too high. Measure a run with {FEW:,} or more for each rank"
    )


def advice(measured: Calibration, every: Sequence[Forecast], front: Sequence[Forecast]) -> list[str]:
    """Says what is fastest and what is cheapest, or why nothing is possible."""
    if not front:
        reasons = dict.fromkeys(problem for one in every for problem in one.problems)
        return [f"nothing of this is possible: {'; '.join(list(reasons)[:3])}"]
    lines = []
    for word, one in (("fastest", front[0]), ("cheapest", front[-1])):
        case = one.case
        lines.append(
            f"{word}: {partition_mb(measured, case):,.0f} MB partitions, {case.world_size:,} ranks with "
            f"{case.memory_mb:,.0f} MB: {one.total_s:,.1f} s and {one.usd:,.4f} USD"
        )
    if impossible := sum(not one.possible for one in every):
        lines.append(f"{impossible} of {len(every)} choices are not possible; --all --json FILE says why")
    if any(not one.gathered for one in front):
        lines.append("where ranks cannot all run at a time, their parts travel by S3 instead of the gather")
    return lines


def _figures(measured: Calibration, one: Forecast, on_front: bool) -> dict[str, Any]:
    content = {
        **asdict(one.case),
        "waves": one.case.waves,
        "partition_mb": partition_mb(measured, one.case),
        "beaten_by_none": on_front,
    }
    names = ("wall_s", "summarize_s", "total_s", "slowest_rank_s", "last_start_s", "refused", "gathered", "usd")
    content |= {name: getattr(one, name) for name in names}
    content["lines"] = [{"service": line.service, "part": line.part, "usd": line.usd} for line in one.lines]
    return {**content, "problems": list(one.problems)}


def _table(measured: Calibration, shown: Sequence[Forecast], front: Sequence[Forecast]) -> Table:
    heads = ("partition", "ranks", "waves", "memory", "a rank", "last start", "time", "USD")
    table = plain_table("", (), heads)
    table.add_column("")
    for one in shown:
        mark = "; ".join(one.problems) or ("fastest" if one is front[0] else "cheapest" if one is front[-1] else "")
        case = one.case
        table.add_row(
            f"{partition_mb(measured, case):,.1f} MB",
            f"{case.world_size:,}",
            f"{case.waves:,}",
            f"{case.memory_mb:,.0f} MB",
            f"{one.slowest_rank_s:,.1f} s",
            f"{one.last_start_s:,.1f} s",
            f"{one.total_s:,.1f} s",
            f"{one.usd:,.4f}",
            mark,
        )
    return table


def busy_words(load: float, cpus: int) -> str:
    """Says whether a machine is too busy for its figures to tell much; empty where it is not.

    Args:
        load: processes that wanted to run in the last minute.
        cpus: how many can.
    """
    if load < QUIET * cpus:
        return ""
    return (
        f"other programs use this machine (load {load:.1f} on {cpus} CPUs). They take turns with the ranks, so that "
        "more ranks get more of it, which one run cannot tell"
    )


def _check(args: argparse.Namespace, console: Console) -> int:
    from scripts.machine import describe_machine
    from scripts.planning.check import REPEATS, ROWS, WORLDS, check, check_table
    from scripts.step_progress import StepProgress

    if args.run_named is not None:
        raise UsageError("--check makes runs of its own, and takes none")
    busy = busy_words(os.getloadavg()[0], usable_cpus())
    with StepProgress(sys.stdout) as progress:
        if busy:
            progress.say(f"note: {busy}")
        progress.begin(len(WORLDS) * (len(ROWS) * REPEATS + 1))
        measured, cases = check(progress.step)
    print_tables(console, check_table(cases))
    held = sum(case.holds for case in cases)
    largest = max(abs(case.error) for case in cases)
    console.print(
        f"{held} of {len(cases)} predictions are within 15% or the spread of {REPEATS} runs; the largest error is "
        f"{largest:.0%}",
        markup=False,
    )
    report = {
        "busy": busy,
        "machine": describe_machine(("cosmicai", "torch", "numpy"), "cpu"),
        "measured": asdict(measured),
        "cases": [{**asdict(case), "error": case.error, "holds": case.holds} for case in cases],
    }
    write_figures(report, args.json, console)
    return 0 if held == len(cases) else 1
