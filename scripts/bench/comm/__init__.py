"""cosmicai bench comm: the communicator beside raw blocking sockets, which are the limit, and PyTorch's Gloo.

This package is light to import, as each rank of each contender is a process that imports it.
"""

import argparse

from scripts.bench.comm.operations import OPERATIONS
from scripts.bench.flags import add_common_arguments

HELP = "barrier, gather, bcast and allreduce between processes, beside raw sockets and Gloo"
EXAMPLE = "cosmicai bench comm --ranks 2,4 --json bench.json --picture bench.svg"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", default=",".join(OPERATIONS), metavar="OPERATION,...", help="these operations")
    parser.add_argument("--ranks", metavar="N,...", help="numbers of ranks (default: 2,4,8; 2,4 with --quick)")
    parser.add_argument("--calibrate", action="store_true", help="measure only the constants of the cost model")
    add_common_arguments(parser, quick="fewer and shorter rounds")


def run(args: argparse.Namespace) -> int:
    from scripts.bench.comm import command

    return command.run(args)
