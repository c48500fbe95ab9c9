"""cosmicai sweep: many runs over world sizes, batch sizes and data, and tables of them."""

import argparse
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any, TypeVar

from lambda_image.errors import UsageError
from lambda_image.partition_names import printable
from scripts import execution
from scripts.billing.wishes import LAMBDA_MB
from scripts.flag_values import check_whole
from scripts.json_file import add_json, write_json
from scripts.place_flags import add_place_of_runs
from scripts.runs import place as places
from scripts.runs.run_progress import RunProgress
from scripts.stack.account import explained
from scripts.sweep.beside import infer_beside
from scripts.sweep.configuration import DATA_SIZES, Configuration, grid, repeated, rows_of
from scripts.sweep.containers import DockerEngine, find_engine, in_containers
from scripts.sweep.folder import FAILED, SUCCEEDED, Measured, SweepFolder
from scripts.sweep.measure import Nowhere, RunMaker, at, on_this_machine
from scripts.sweep.presets import GB_IN_MB, PRESETS
from scripts.sweep.show import show_sweep
from scripts.sweep.tables import write_tables
from scripts.user_files import add_overwrite, check_new
from scripts.words import counted

HELP = "make many runs over world sizes, batch sizes and data, and write tables of them; it resumes where it stopped"
EXAMPLE = "cosmicai sweep --world-size 1,2,4 --batch-size 32,256 --rows 2000 --repeats 3"

OUT = Path("out")
T = TypeVar("T", int, float)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    meanings = "; ".join(f"{name}: {preset.meaning}" for name, preset in PRESETS.items())
    parser.add_argument("--preset", choices=list(PRESETS), help=f"runs that belong together ({meanings})")
    parser.add_argument("--world-size", metavar="N,N", help="ranks")
    parser.add_argument("--batch-size", metavar="N,N", help="galaxies that a rank infers at a time")
    sizes = ", ".join(f"{name} is {rows:,}" for name, rows in DATA_SIZES.items())
    parser.add_argument("--rows", metavar="N,N", help=f"galaxies in all, or {sizes}")
    parser.add_argument(
        "--partition-mb", metavar="MB,MB", help="size of each file; without it, one file is dealt by rows"
    )
    parser.add_argument(
        "--total-gb",
        metavar="GB,GB",
        help="instead of --rows: the data in all, in files of --partition-mb, or of --preset partitions or file-limits",
    )
    parser.add_argument("--file-limit", metavar="N,N", help="use only so many of the files")
    parser.add_argument("--memory-mb", metavar="N,N", help="memory of a rank, in containers of a Docker engine")
    parser.add_argument(
        "--repeat-data", type=int, default=1, metavar="N", help="upload each file that is made under N names"
    )
    parser.add_argument("--repeats", type=int, help="runs of each kind; 1, or what the preset says")
    parser.add_argument(
        "--out", type=Path, help=f"a folder for the sweep; without it, {OUT}/sweep-PRESET or {OUT}/sweep"
    )
    add_json(parser, "medians over the repeats")
    add_overwrite(parser, "the file that --json names")
    add_place_of_runs(parser)


def run(args: argparse.Namespace) -> int:
    check_new({"--json": args.json}, overwrite=args.overwrite)
    out = args.out or OUT / (f"sweep-{args.preset}" if args.preset else "sweep")
    plan = plan_of(args)
    folder = SweepFolder(out)
    left = folder.begin(plan, args.preset)
    done = len(plan) - len(left)
    if done:
        print(f"{counted(done, 'run')} of {len(plan):,} in {printable(out)} have ended before")
    started = time.monotonic()
    if left:
        progress = RunProgress(sys.stdout, [])
        with explained(args.endpoint_url or "AWS"), _measurer(args, left, progress, out) as measurer:
            for number, configuration in enumerate(left, done + 1):
                measured = measurer.run(configuration)
                folder.keep(measured)
                print(f"{number:>4} of {len(plan):,}  {configuration}: {_words(measured)}", flush=True)
    if args.preset and PRESETS[args.preset].beside_local:
        infer_beside(out, [one.batch_size for one in plan], lambda line: print(line, flush=True))
    runs = list(folder.runs())
    write_tables(runs, out)
    together = show_sweep(folder)
    write_json(together, args.json, print)
    took = f"{len(left):,} of them took {time.monotonic() - started:.0f} s"
    print(f"{counted(len(runs), 'run')} in {printable(out)}/; {took}")
    print(f"cosmicai report {shlex.quote(printable(out))} draws them")
    return 1 if any(one.status == FAILED for one in runs) else 0


def plan_of(args: argparse.Namespace) -> list[Configuration]:
    """Makes the runs that the flags ask for.

    Raises:
        UsageError: A flag is wrong, or flags contradict each other.
    """
    own = {
        "--world-size": args.world_size,
        "--batch-size": args.batch_size,
        "--rows": args.rows,
        "--partition-mb": args.partition_mb,
        "--total-gb": args.total_gb,
        "--file-limit": args.file_limit,
        "--memory-mb": args.memory_mb,
    }
    check_whole("--repeats", args.repeats)
    if args.preset is not None:
        preset = PRESETS[args.preset]
        sized = args.total_gb is not None and preset.of_gigabytes is not None
        if given := [flag for flag, value in own.items() if value is not None and not (sized and flag == "--total-gb")]:
            raise UsageError(f"{given[0]} and --preset name two plans: give one of them")
        configurations = preset.configurations
        if preset.of_gigabytes is not None and args.total_gb is not None:
            configurations = preset.of_gigabytes(_list("--total-gb", args.total_gb, float, "a number above 0"))
        return repeated(configurations, args.repeats or preset.repeats)
    return repeated(_grid_of(args), args.repeats or 1)


def _grid_of(args: argparse.Namespace) -> list[Configuration]:
    """Every combination of the values that the flags list."""
    check_whole("--repeat-data", args.repeat_data)
    sizes = _list("--partition-mb", args.partition_mb, float, "a number above 0")
    worlds = _list("--world-size", args.world_size, int, "a whole number from 1") or [1, 2, 4]
    batches = _list("--batch-size", args.batch_size, int, "a whole number from 1") or [256]
    for batch in batches:
        execution.check_batch_size(batch)
    limits: Sequence[int | None] = _list("--file-limit", args.file_limit, int, "a whole number from 1") or [None]
    memory: Sequence[int | None] = _list("--memory-mb", args.memory_mb, int, "a whole number from 1") or [None]
    if any(one is not None and one not in LAMBDA_MB for one in memory):
        first, last = LAMBDA_MB.start, LAMBDA_MB.stop - 1
        raise UsageError(f"--memory-mb is {args.memory_mb}; allowed: {first} to {last:,}, as Lambda allows")
    rest: dict[str, Any] = {"file_limits": limits, "memory_mb": memory, "copies": args.repeat_data}
    if not sizes and (args.total_gb or args.file_limit or args.repeat_data > 1):
        flag = "--total-gb" if args.total_gb else "--file-limit" if args.file_limit else "--repeat-data"
        raise UsageError(f"{flag} needs --partition-mb, the size of the files")
    if args.total_gb is None:
        named = ",".join(str(DATA_SIZES.get(word.strip(), word)) for word in (args.rows or "1000").split(","))
        rows = _list("--rows", named, int, f"a whole number from 1, or {', '.join(DATA_SIZES)}")
        return grid(worlds, batches, rows, partition_mb=sizes or [None], **rest)
    if args.rows is not None:
        raise UsageError("--rows and --total-gb name two amounts of data: give one of them")
    plan = []
    for total in _list("--total-gb", args.total_gb, float, "a number above 0"):
        for size in sizes:
            rows = [max(1, round(total * GB_IN_MB / size)) * rows_of(size)]
            plan += grid(worlds, batches, rows, partition_mb=[size], **rest)
    return plan


def _list(flag: str, given: str | None, kind: Callable[[str], T], allowed: str) -> list[T]:
    """The values of a flag that takes several; none where it is not given."""
    if given is None:
        return []
    with suppress(ValueError):
        values = [kind(word) for word in given.split(",")]
        if all(0 < value < 1e9 for value in values):
            return values
    raise UsageError(f"{flag} is {given}; allowed: {allowed}, or several with commas between them")


def _measurer(
    args: argparse.Namespace, left: Sequence[Configuration], progress: RunProgress, out: Path
) -> AbstractContextManager[RunMaker]:
    if args.endpoint_url or args.stack or args.profile:
        return at(places.open_place(args), progress)
    if any(one.memory_mb is not None for one in left):  # a sweep names it for all its runs or for none
        engine = find_engine()
        if isinstance(engine, DockerEngine):
            return in_containers(engine, progress, out)
        reason = f"processes of this machine have no limit of memory, and no Docker engine can be used ({engine})"
        return nullcontext(Nowhere(reason))
    ranks = max(min(one.world_size, execution.MAX_RANKS) for one in left)
    return on_this_machine(ranks, progress)


def _words(measured: Measured) -> str:
    if measured.status != SUCCEEDED or measured.summary is None:
        return f"{measured.status} ({measured.reason})"
    summary = measured.summary
    wall = "unknown time" if summary["wall_s"] is None else f"{summary['wall_s']:.2f} s"
    return f"{wall}, {summary['samples']:,} galaxies, {summary['cost_usd']:.6f} USD"
