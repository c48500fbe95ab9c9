"""cosmicai: one command line for everything that is done around a run."""

import argparse
import importlib
import sys
from collections.abc import Sequence

from lambda_image.errors import RunError

COMMANDS = ("demo", "sample", "split", "convert")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command that `arguments` (default: the process's own) name; the exit status is 0 only on success."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(prog="cosmicai", description="Serverless redshift inference for astronomers.")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for name in COMMANDS:
        module = importlib.import_module(f"scripts.{name}")
        subparser = subparsers.add_parser(
            name,
            help=module.HELP,
            description=module.HELP,
            epilog=f"example: {module.EXAMPLE}",
            formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        )
        module.add_arguments(subparser)
        subparser.set_defaults(run=module.run)
    args = parser.parse_args(arguments)
    try:
        return args.run(args)
    except RunError as error:
        print(f"cosmicai: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("cosmicai: interrupted", file=sys.stderr)
        return 130
