"""cosmicai bench rendezvous: the rendezvous server under load, beside another one if there is one."""

import argparse
from collections.abc import Sequence
from dataclasses import replace

from lambda_image.address import Address
from lambda_image.errors import UsageError
from lambda_image.events import MAX_WORLD_SIZE
from scripts.bench.command import Benchmark, run_benchmark
from scripts.bench.commit.checkout import at_commit
from scripts.bench.flags import add_common_arguments
from scripts.bench.rendezvous.measure import PAIRINGS, PARTS, RendezvousResults, measure
from scripts.bench.rendezvous.picture import draw
from scripts.bench.rendezvous.plan import QUICK, RendezvousPlan
from scripts.bench.rendezvous.shapes import Shape
from scripts.bench.rendezvous.tables import result_tables
from scripts.bench.servers import Server, other_server
from scripts.flag_values import parse_names, parse_numbers
from scripts.step_progress import StepProgress

HELP = "pairings, group bootstrap and relay: rates, latencies, CPU and memory of the rendezvous server"
EXAMPLE = "cosmicai bench rendezvous --against 127.0.0.1:10001 --against-pid 4711 --json bench.json --picture bench.svg"

PACKAGES = ("cosmicai", "uvloop", "matplotlib")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--against", metavar="HOST:PORT", help="a server that speaks the pairing dialect, measured in turn"
    )
    parser.add_argument(
        "--against-pid",
        type=int,
        metavar="PID",
        help="the process of that server, if it runs here, whose CPU time is then measured",
    )
    parser.add_argument(
        "--base", metavar="COMMIT", help="an earlier commit, whose server is measured in turn (HEAD~1, a hash, a tag)"
    )
    parser.add_argument("--only", default=",".join(PARTS), metavar="PART,...", help=f"some of {', '.join(PARTS)}")
    parser.add_argument("--ranks", metavar="COUNTS", help="of the groups")
    parser.add_argument(
        "--shapes", default=",".join(Shape), metavar="SHAPE,...", help=f"of the groups: some of {', '.join(Shape)}"
    )
    add_common_arguments(parser, quick="fewer and shorter rounds, no group above 512")


def run(args: argparse.Namespace, plan: RendezvousPlan | None = None) -> int:
    """Run the benchmark. `plan` is another one than the flags choose."""
    parts = parse_names("--only", args.only, PARTS)
    against = _against(args.against, args.against_pid, parts)
    chosen = plan or plan_of(args)

    def measure_all(progress: StepProgress) -> RendezvousResults:
        if args.base is None:
            return measure(chosen, parts, against, progress)
        with at_commit(args.base, progress.say, engine=False) as folder:
            return measure(chosen, parts, against, progress, (args.base, folder))

    benchmark = Benchmark(
        name="rendezvous",
        packages=PACKAGES,
        measure=measure_all,
        tables=lambda results, console: result_tables(results),
        draw=draw,
        settings={"base": args.base},
        linux_for="epoll and /proc",
    )
    return run_benchmark(benchmark, args.json, args.picture, overwrite=args.overwrite)


def plan_of(args: argparse.Namespace) -> RendezvousPlan:
    """Return what the flags ask for.

    Raises:
        UsageError: A value is not allowed.
    """
    plan = QUICK if args.quick else RendezvousPlan()
    plan = replace(plan, shapes=tuple(map(Shape, parse_names("--shapes", args.shapes, tuple(Shape)))))
    if args.ranks is not None:
        plan = replace(plan, worlds=tuple(parse_numbers("--ranks", args.ranks, 2, MAX_WORLD_SIZE)))
    return plan


def _against(address: str | None, pid: int | None, parts: Sequence[str]) -> list[Server]:
    """The other server, if there is to be one."""
    if address is None:
        if pid is not None:
            raise UsageError(f"--against-pid {pid} needs --against, the server whose process that is")
        return []
    if not PAIRINGS & set(parts):
        raise UsageError("--against is measured in the pairing dialect only: leave --only out, or add pairing to it")
    try:
        parsed = Address.parse(address)
    except ValueError as error:
        raise UsageError(f"--against {address!r}; allowed: {error}") from error
    return [other_server(parsed, pid)]
