"""cosmicai bench scale: what the parts of a run take as it grows.

Each part runs the real handlers in processes of their own, against a server of this benchmark's own in the place of S3.
`init` is the first state, over up to a million objects. `rank` is one rank of up to four million galaxies, by an engine
that answers at once. `summarize` is the last state, over up to 10,000 ranks. `run` is a whole run with a gather by
sockets, in which most ranks are communicators only.
"""

import argparse

from scripts.bench.flags import add_common_arguments
from scripts.bench.scale.plan import PARTS

HELP = "time, memory and requests of runs as data and ranks grow, by real handlers and communicators"
EXAMPLE = "cosmicai bench scale --only run --ranks 64,2048 --json scale.json --picture scale.svg"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", default=",".join(PARTS), metavar="PARTS", help=f"some of {', '.join(PARTS)}")
    parser.add_argument("--objects", metavar="COUNTS", help="partitions that Init lists and deals")
    parser.add_argument("--ranks", metavar="COUNTS", help="of the runs; Init deals to the most of them")
    parser.add_argument("--loads", metavar="COUNTS", help="galaxies of the rank that is measured alone")
    parser.add_argument("--rows", type=int, help="galaxies of each partition of that rank")
    parser.add_argument("--galaxies", type=int, help="of each rank of the runs")
    parser.add_argument("--gather-limit", type=int, metavar="BYTES", help="up to which tables travel in the runs")
    parser.add_argument("--answer-ms", type=float, help="how long each answer to a listing is held back, as S3 takes")
    add_common_arguments(parser, "fewer objects and ranks, once each")


def run(args: argparse.Namespace) -> int:
    from scripts.bench.scale import command

    return command.run(args)
