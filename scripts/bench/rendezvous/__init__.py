"""cosmicai bench rendezvous: the rendezvous server under load, beside another one if there is one."""

import argparse
import select
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Console

from lambda_image.address import Address
from lambda_image.errors import InvalidEvent
from scripts.bench.errors import BenchmarkError
from scripts.bench.files import add_file_arguments, check_files, tell_failures, write_files
from scripts.bench.machine import describe_machine
from scripts.bench.progress import BenchProgress
from scripts.bench.rendezvous.measure import PairingBench, Results, measure_group, measure_relay
from scripts.bench.rendezvous.picture import draw
from scripts.bench.rendezvous.plan import QUICK, Plan
from scripts.bench.rendezvous.tables import result_tables
from scripts.bench.servers import Server, other_server, our_server

HELP = "pairings, group bootstrap and relay: rates, latencies, CPU and memory of the rendezvous server"
EXAMPLE = "cosmicai bench rendezvous --against 127.0.0.1:10001 --against-pid 4711 --json bench.json --picture bench.svg"

PARTS = ("pairing", "group", "relay")
TABLE_WIDTH = 120  # where the output is no terminal, which would know its own
PACKAGES = ("cosmicai", "uvloop", "matplotlib")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--against", metavar="HOST:PORT", help="a server that speaks the pairing dialect, measured in turn"
    )
    parser.add_argument("--against-pid", type=int, metavar="PID", help="its process, if it runs here: for CPU time")
    add_file_arguments(parser)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds, no group of 4,096")
    parser.add_argument("--only", default=",".join(PARTS), metavar="PART,...", help=f"of {', '.join(PARTS)}")


def run(args: argparse.Namespace, plan: Plan | None = None) -> int:
    """`plan`: another one than the flags choose."""
    parts = _parts(args.only)
    against = _against(args.against, args.against_pid, parts)
    check_files(args.json, args.picture)
    if not hasattr(select, "epoll"):
        raise BenchmarkError("this benchmark needs Linux: epoll and /proc")
    plan = plan or (QUICK if args.quick else Plan())
    console = Console(width=None if sys.stdout.isatty() else TABLE_WIDTH, highlight=False)
    report: dict[str, Any] = {
        "benchmark": "rendezvous",
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(PACKAGES),
    }
    results = Results()
    with BenchProgress(sys.stdout, plan.steps(parts, servers=1 + len(against))) as progress:
        _measure(plan, parts, against, results, progress)
    report |= results.to_json()
    console.print(result_tables(results))
    write_files(report, args.json, args.picture, draw, console)
    return tell_failures(results.failures)


def _measure(
    plan: Plan, parts: Sequence[str], against: Sequence[Server], results: Results, progress: BenchProgress
) -> None:
    if "pairing" in parts:
        with our_server() as ours:
            PairingBench(plan, [ours, *against], results, progress).run()
    if "group" in parts:
        measure_group(plan, results, progress)
    if "relay" in parts:
        measure_relay(plan, results, progress)


def _parts(only: str) -> list[str]:
    asked = [part.strip() for part in only.split(",")]
    if unknown := [part for part in asked if part not in PARTS]:
        raise InvalidEvent(f"--only {only}: {unknown[0]!r} is unknown; allowed: {', '.join(PARTS)}")
    return [part for part in PARTS if part in asked]


def _against(address: str | None, pid: int | None, parts: Sequence[str]) -> list[Server]:
    """The other server, if there is to be one."""
    if address is None:
        if pid is not None:
            raise InvalidEvent(f"--against-pid {pid} without --against: which server is that the process of?")
        return []
    if "pairing" not in parts:
        raise InvalidEvent("--against is measured in the pairing dialect only: leave --only out, or add pairing to it")
    try:
        parsed = Address.parse(address)
    except ValueError as error:
        raise InvalidEvent(f"--against {address!r}; allowed: {error}") from error
    return [other_server(parsed, pid)]
