"""The flag `--json` of every command that reports something: a file, or `-` for the standard output."""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

from lambda_image.atomic_file import atomic_file

STANDARD_OUTPUT = Path("-")
HELD = "standard-output.json"  # where it is held back until the command has ended


def add_json(parser: argparse.ArgumentParser, what: str) -> None:
    """Adds the flag `--json`. `what` is written by it, in words."""
    told = f"{what}, as JSON; - is the standard output, and the error output then has everything else"
    parser.add_argument("--json", type=Path, metavar="FILE", help=told)


def write_json(report: object, file: Path | None, say: Callable[[str], object]) -> None:
    """Writes a report, if there is a file for it.

    Args:
        report: what is written.
        file: the file of `--json`, or None where the flag was not given.
        say: is told where it is.
    """
    if file is None:
        return
    with atomic_file(file) as partial:
        partial.write_text(json.dumps(report, indent=1) + "\n")
    if file.name != HELD:
        say(f"figures in {file}")


@contextmanager
def json_alone(args: argparse.Namespace) -> Iterator[None]:
    """Within it all that is printed goes to the error output, if `--json -` is given. What it writes is printed last.

    Args:
        args: the flags of a command, in which `-` becomes the name of a file.
    """
    if getattr(args, "json", None) != STANDARD_OUTPUT:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="cosmicai-") as folder:
        args.json = Path(folder) / HELD
        with redirect_stdout(sys.stderr):
            yield
        if args.json.exists():
            print(args.json.read_text(), end="", flush=True)
