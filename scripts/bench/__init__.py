"""cosmicai bench: how fast the parts of the system are, on this machine.

Each benchmark is a package within this one with HELP, EXAMPLE, `add_arguments` and `run`, as every command has. What is
the same for all of them stands beside them, and `command` is where to begin.
"""

import argparse
import importlib

HELP = "measure a part of the system on this machine"
EXAMPLE = "cosmicai bench rendezvous --quick"
BENCHMARKS = ("comm", "commit", "inference", "input", "rendezvous", "scale")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    subparsers = parser.add_subparsers(metavar="BENCHMARK", required=True)
    for name in BENCHMARKS:
        module = importlib.import_module(f"scripts.bench.{name}")
        subparser = subparsers.add_parser(
            name,
            help=module.HELP,
            description=module.HELP,
            epilog=f"example: {module.EXAMPLE}",
            formatter_class=parser.formatter_class,
        )
        module.add_arguments(subparser)
        subparser.set_defaults(benchmark=module.run, parser=subparser)


def run(args: argparse.Namespace) -> int:
    status: int = args.benchmark(args)
    return status
