"""cosmicai cost: what a run costs on AWS, line by line, and runs in a month and a year."""

import argparse
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from lambda_image.cost import (
    ARCHITECTURES,
    FREE_STORAGE_MB,
    RENDEZVOUS_GB,
    RENDEZVOUS_VCPU,
    BillingTerms,
    BillLine,
    Prices,
    usd_of,
)
from lambda_image.errors import InvalidEvent, UsageError
from lambda_image.partition_names import printable
from scripts.billing import tables
from scripts.billing.measured import MeasuredRun, WhatIf, by_partition, by_rank, supposed
from scripts.billing.months import MONTHS_PER_YEAR, KeptResources, month
from scripts.billing.sources import of_log, of_results, stated
from scripts.billing.sweeps import BY_PARTITION, SETTINGS, sweep_cost_table, sweep_costs
from scripts.billing.wishes import STORAGE_MB, parse_what_if, read_prices
from scripts.catalogue.run_source import ResultFolderSource, find_run
from scripts.console import output_console, plain_table, print_tables
from scripts.flag_values import check_not_negative, check_positive, check_whole
from scripts.json_file import add_json
from scripts.output_files import write_figures
from scripts.sweep.folder import PLAN, SweepFolder
from scripts.user_files import add_overwrite, check_new, check_there

HELP = "tell what a run costs on AWS, line by line, and what runs cost in a month and a year"
EXAMPLE = "cosmicai cost out/demo --runs-per-month 1000 --what-if memory=1769,world=8"

LOG_KB = 2.0  # of a rank: 1.4 kB of ours in a run of sample galaxies, and three lines of Lambda's
EXPRESS_LIMIT_S = 300  # of an Express execution
LOCAL_USD_PER_HOUR = 0.3712  # by which the published comparisons price a local machine (docs/documents.md)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    source = parser.add_argument_group("the run, by one of these")
    source.add_argument(
        "run_named", nargs="?", metavar="RUN", help="the folder of its results or of a sweep, or its name in out/"
    )
    source.add_argument("--requests", type=int, help="ranks that are alike, with --seconds and --memory-gb")
    source.add_argument("--seconds", type=float, help="of each rank")
    source.add_argument("--memory-gb", type=float, help="of each rank, in GB of 1,024 MB")
    source.add_argument("--log", type=Path, metavar="FILE", help="billed durations, as `logs --csv` writes them")
    source.add_argument("--init-seconds", type=float, default=0.0, help="cold start among the --seconds of a rank")
    source.add_argument("--wall-seconds", type=float, help="of the run, where its results do not tell")
    terms = parser.add_argument_group("how it is billed")
    terms.add_argument("--architecture", choices=ARCHITECTURES, help="of the functions; as the run had it, or x86_64")
    terms.add_argument("--storage-mb", type=int, default=FREE_STORAGE_MB, help="size of /tmp of a rank")
    terms.add_argument("--express", action="store_true", help="let the Map's children be Express executions")
    terms.add_argument("--server-vcpu", type=float, default=RENDEZVOUS_VCPU, help="of the rendezvous server on Fargate")
    terms.add_argument("--server-gb", type=float, default=RENDEZVOUS_GB, help="memory of the rendezvous server")
    terms.add_argument("--log-kb", type=float, default=LOG_KB, help="what an invocation logs, in 1,000 bytes")
    terms.add_argument("--prices", type=Path, metavar="FILE", help="a list like lambda_image/prices.json")
    months = parser.add_argument_group("months")
    months.add_argument(
        "--runs-per-month", type=int, metavar="N", help="add what so many runs cost in a month and year"
    )
    months.add_argument("--load-balancer", action="store_true", help="with a server that always runs behind an NLB")
    months.add_argument("--image-gb", type=float, default=KeptResources.image_gb, help="images in ECR, compressed")
    months.add_argument("--data-gb", type=float, help="data kept on S3; without it, what the run read")
    months.add_argument("--months-kept", type=float, default=1.0, help="for which results and logs of a run are kept")
    beside = parser.add_argument_group("beside it")
    beside.add_argument("--by", choices=("rank", "partition"), help="add what each of them cost")
    beside.add_argument(
        "--what-if",
        action="append",
        default=[],
        metavar="CHANGE",
        help="estimate the run with memory=MB, world=RANKS, storage=MB or architecture=NAME, joined by commas",
    )
    beside.add_argument("--local-seconds", type=float, help="add a local machine that takes so long for the same")
    beside.add_argument(
        "--local-usd-per-hour", type=float, default=LOCAL_USD_PER_HOUR, help="what the local machine costs"
    )
    add_json(parser, "all figures")
    add_overwrite(parser, "the file that --json names")


def run(args: argparse.Namespace) -> int:
    changes = [parse_what_if(text) for text in args.what_if]
    _check(args)
    prices = read_prices(args.prices)
    if args.run_named is not None and (Path(args.run_named) / PLAN).is_file():
        return _cost_of_sweep(args, prices)
    measured = find_source(args)
    terms = _terms(args, prices, args.architecture or measured.architecture or "x86_64")
    lines = measured.bill(terms, args.storage_mb)
    console = output_console(tables.WIDTH)
    print_tables(console, tables.bill_table(f"{measured.name} (prices: {terms.prices})", lines))
    notes = [*measured.notes, *_unknown(measured), *_too_long(measured, args.express)]
    report: dict[str, Any] = {
        "run": measured.name,
        "prices": {"region": terms.prices.region, "date": terms.prices.date},
        "lines": [{**asdict(line), "usd": line.usd} for line in lines],
        "usd": usd_of(lines),
        "notes": notes,
    }
    for note in notes:
        console.print(f"note: {note}", markup=False)
    _beside(args, measured, lines, terms, changes, console, report)
    write_figures(report, args.json, console)
    return 0


def _cost_of_sweep(args: argparse.Namespace, prices: Prices) -> int:
    """Shows what the runs of a sweep cost."""
    unused = {"--what-if": args.what_if, "--runs-per-month": args.runs_per_month, "--local-seconds": args.local_seconds}
    if given := [flag for flag, value in unused.items() if value]:
        raise UsageError(f"{given[0]} is of one run, and {printable(args.run_named)} is a sweep")
    if args.by == "rank":
        raise UsageError("--by rank is of one run; a sweep has --by partition, or a row for each configuration")
    runs = list(SweepFolder(Path(args.run_named)).runs())
    architecture = next((one.get("architecture") for run in runs for one in run.records if "architecture" in one), None)
    terms = _terms(args, prices, args.architecture or architecture or "x86_64")
    by = BY_PARTITION if args.by == "partition" else SETTINGS
    rows = sweep_costs(runs, terms, args.storage_mb, by)
    if not rows:
        raise InvalidEvent(f"{printable(args.run_named)} has no run that succeeded")
    console = output_console(tables.WIDTH)
    print_tables(console, sweep_cost_table(f"{args.run_named} (prices: {prices})", rows, by))
    report = {"sweep": args.run_named, "prices": {"region": prices.region, "date": prices.date}, "rows": rows}
    write_figures(report, args.json, console)
    return 0


def _terms(args: argparse.Namespace, prices: Prices, architecture: str) -> BillingTerms:
    return BillingTerms(
        architecture,
        express=args.express,
        server_vcpu=args.server_vcpu,
        server_gb=args.server_gb,
        log_kb=args.log_kb,
        prices=prices,
    )


def _check(args: argparse.Namespace) -> None:
    given = [args.run_named is not None, args.requests is not None, args.log is not None]
    if sum(given) != 1:
        raise UsageError("cosmicai cost needs one run: a folder of results, --requests, or --log")
    for flag in ("--seconds", "--memory-gb", "--wall-seconds", "--local-seconds", "--local-usd-per-hour"):
        check_positive(flag, getattr(args, flag[2:].replace("-", "_")))
    for flag in (
        "--data-gb",
        "--init-seconds",
        "--server-vcpu",
        "--server-gb",
        "--log-kb",
        "--image-gb",
        "--months-kept",
    ):
        check_not_negative(flag, getattr(args, flag[2:].replace("-", "_")))
    check_whole("--requests", args.requests)
    if args.requests is not None:
        if args.seconds is None or args.memory_gb is None:
            raise UsageError("--requests needs --seconds and --memory-gb of each rank")
        if args.init_seconds > args.seconds:
            raise UsageError(f"--init-seconds is {args.init_seconds:g}; allowed: at most --seconds, {args.seconds:g}")
    elif unused := [flag for flag in ("seconds", "memory_gb") if getattr(args, flag) is not None]:
        raise UsageError(f"--{unused[0].replace('_', '-')} needs --requests, since the run tells it otherwise")
    if args.by == "partition" and args.run_named is None:
        raise UsageError("--by partition needs the results of a run, which name its partitions")
    if args.storage_mb not in STORAGE_MB:
        raise UsageError(f"--storage-mb is {args.storage_mb}; allowed: {STORAGE_MB.start} to {STORAGE_MB.stop - 1:,}")
    check_whole("--runs-per-month", args.runs_per_month)
    check_there("--log", args.log, "a CSV of billed durations")
    check_new({"--json": args.json}, overwrite=args.overwrite, read=[args.log, args.prices])


def find_source(args: argparse.Namespace) -> MeasuredRun:
    """Finds the run that the flags name.

    Raises:
        UsageError: there are no results of such a run.
        InvalidEvent: they cannot be read.
    """
    if args.requests is not None:
        return stated(args.requests, args.seconds, args.memory_gb, args.init_seconds, args.wall_seconds)
    if args.log is not None:
        return of_log(args.log, args.wall_seconds)
    source = find_run(args.run_named)
    if not isinstance(source, ResultFolderSource):
        raise UsageError(f"{source.place} holds predictions alone: name the folder of a run's results")
    measured = of_results(source)
    return measured if args.wall_seconds is None else replace(measured, wall_s=args.wall_seconds)


def _unknown(run: MeasuredRun) -> list[str]:
    if run.wall_s is not None or not run.with_rendezvous:
        return []
    return ["how long the run took is not known, so that the rendezvous server is missing: --wall-seconds tells it"]


def _too_long(run: MeasuredRun, express: bool) -> list[str]:
    longest = max(one.seconds for one in run.times)
    if not express or longest <= EXPRESS_LIMIT_S:
        return []
    return [f"a rank took {longest:.0f} s, and Express executions end after {EXPRESS_LIMIT_S} s"]


def _beside(
    args: argparse.Namespace,
    measured: MeasuredRun,
    lines: Sequence[BillLine],
    terms: BillingTerms,
    changes: Sequence[WhatIf],
    console: Console,
    report: dict[str, Any],
) -> None:
    """Shows what flags ask for beyond the bill, and puts it into the report."""
    if args.by is not None:
        portions = (by_rank if args.by == "rank" else by_partition)(measured, terms, args.storage_mb)
        report[f"by_{args.by}"] = [asdict(one) for one in portions]
        print_tables(console, tables.portion_table(args.by, portions))
    if changes:
        cases = [WhatIf(), *changes]
        found = [_case(measured, change, terms, args.storage_mb) for change in cases]
        report["what_if"] = found
        print_tables(console, _case_table(found))
    if args.runs_per_month is not None:
        kept = KeptResources(
            args.load_balancer,
            args.image_gb,
            measured.data_gb if args.data_gb is None else args.data_gb,
            args.months_kept,
        )
        monthly = month(measured, lines, args.runs_per_month, kept, terms)
        report["month"] = {"runs": args.runs_per_month, "lines": [asdict(line) for line in monthly]}
        report["month"]["usd"] = sum(line.usd for line in monthly)
        report["year"] = {"usd": report["month"]["usd"] * MONTHS_PER_YEAR}
        print_tables(console, tables.month_table(monthly))
    if args.local_seconds is not None:
        usd = local_usd(args.local_seconds, args.local_usd_per_hour)
        less = 1 - usd_of(lines) / usd
        report["local"] = {"seconds": args.local_seconds, "usd": usd, "decrease": less}
        change = f"{abs(less):.1%} {'less' if less >= 0 else 'more'}"
        console.print(
            f"a local machine at {args.local_usd_per_hour:g} USD/h: {tables.dollars(usd)} USD for "
            f"{args.local_seconds:g} s. The run costs {change}.",
            markup=False,
        )


def local_usd(seconds: float, usd_per_hour: float = LOCAL_USD_PER_HOUR) -> float:
    """Computes what a local machine costs.

    Args:
        seconds: for which it works.
        usd_per_hour: what it costs.
    """
    return seconds / 3600 * usd_per_hour


def _case(measured: MeasuredRun, change: WhatIf, terms: BillingTerms, storage_mb: float) -> dict[str, Any]:
    run = supposed(measured, change)
    lines = run.bill(
        replace(terms, architecture=change.architecture or terms.architecture), change.storage_mb or storage_mb
    )
    return {
        "case": change.words,
        "ranks": run.ranks,
        "memory_mb": max(one.memory_mb for one in run.times),
        "slowest_rank_s": max(one.seconds for one in run.times),
        "usd": usd_of(lines),
    }


def _case_table(cases: Sequence[dict[str, Any]]) -> Table:
    table = plain_table("", ("estimate",), ("ranks", "memory", "slowest rank", "USD", "change"))
    for case in cases:
        table.add_row(
            case["case"],
            f"{case['ranks']:,}",
            f"{case['memory_mb']:,.0f} MB",
            f"{case['slowest_rank_s']:.2f} s",
            tables.dollars(case["usd"]),
            f"{case['usd'] / cases[0]['usd'] - 1:+.1%}",
        )
    return table
