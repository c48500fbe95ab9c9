"""cosmicai: one command line for everything that is done around a run."""

import argparse
import importlib
import io
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from importlib import metadata
from types import FrameType
from typing import NoReturn, TextIO

from lambda_image.errors import RunError, UsageError
from scripts.extras import remedy
from scripts.json_file import json_alone
from scripts.parser import CommandParser

COMMANDS = (
    *("demo", "infer", "evaluate", "calibrate", "results", "report", "sweep", "compare", "cost", "plan"),
    *("sample", "import", "split", "join", "clean", "convert", "compile", "tune", "bench", "completion"),
    *("deploy", "destroy", "upload", "invoke", "watch"),
    *("doctor", "logs", "rendezvous"),
)
# Of commands that are packages, or not modules by their own name, as a keyword cannot be.
MODULES = {
    "import": "importing.command",
    **{name: f"{name}.command" for name in ("evaluate", "calibrate", "report", "sweep", "logs", "doctor")},
}
ENDING = (signal.SIGTERM, signal.SIGHUP)  # beside SIGINT, which Python makes a KeyboardInterrupt


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Shows a default where there is one. A switch that is off needs none."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        without = action.required or action.default is None or action.default is False  # 0 is shown
        return action.help if without else super()._get_help_string(action)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command that `arguments` name.

    Args:
        arguments: the words behind `cosmicai`; without them, the process's own.

    Returns:
        The exit status: 0 only on success, 2 for a wrong flag or argument, 130 after an interrupt, otherwise 1.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    replace_signs_that_the_terminal_lacks(sys.stdout)
    try:
        return _run(arguments)
    except ModuleNotFoundError as error:
        if (words := remedy(error)) is None:
            raise  # a mistake of ours, or an installation that has been damaged
        print(f"cosmicai: {words}", file=sys.stderr)
        return 1  # and not 2, which says that the command line is wrong


def _run(arguments: Sequence[str]) -> int:
    # A command that is named needs only its own imports: in an image that has no others', that is all there is.
    named = bool(arguments) and arguments[0] in COMMANDS
    parser = make_parser(arguments[:1], whole=True) if named else make_parser(COMMANDS, whole=False)
    try:
        args = parser.parse_command(arguments)
        if "run" not in args:
            parser.print_help()
            return 2
        with ended_in_order(), json_alone(args), silenced() if args.quiet else nullcontext():
            return int(args.run(args))
    except UsageError as error:
        print(f"cosmicai: {error}", file=sys.stderr)
        return 2
    except RunError as error:
        print(f"cosmicai: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # whoever read the output has gone (`cosmicai ... | head`)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python flushes when it ends
        return 1
    except OSError as error:
        where = f"{error.filename}: " if error.filename is not None else ""
        print(f"cosmicai: {where}{error.strerror or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("cosmicai: interrupted", file=sys.stderr)
        return 130


def make_parser(commands: Sequence[str], *, whole: bool) -> CommandParser:
    """Makes a parser of some commands.

    Args:
        commands: their names.
        whole: whether it knows their flags, too, and not only what they are for.

    Raises:
        ModuleNotFoundError: the only command needs what is not installed. Among others such a command says so instead.
    """
    parser = CommandParser(prog="cosmicai", description="Serverless redshift inference for astronomers.")
    parser.add_argument("--version", action="version", version=f"cosmicai {version()}")
    subparsers = parser.add_subparsers(metavar="COMMAND")
    for name in commands:
        try:
            module = importlib.import_module(f"scripts.{MODULES.get(name, name)}")
        except ModuleNotFoundError as error:
            if len(commands) == 1 or (words := remedy(error)) is None:
                raise
            subparsers.add_parser(name, help=f"({words})")
            continue
        subparser = subparsers.add_parser(
            name,
            help=module.HELP,
            description=module.HELP,
            epilog=f"example: {module.EXAMPLE}",
            formatter_class=HelpFormatter,
        )
        if whole:
            module.add_arguments(subparser)
            subparser.add_argument("--quiet", action="store_true", help="print nothing but errors and questions")
            subparser.set_defaults(run=module.run, parser=subparser)
    return parser


@contextmanager
def silenced() -> Iterator[None]:
    """Within it what is printed goes nowhere. Errors have their own output."""
    with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):
        yield


def replace_signs_that_the_terminal_lacks(stream: TextIO) -> None:
    """Makes `stream` write `?` for what its encoding cannot hold (σ in ASCII), where Python would raise an error."""
    if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
        stream.reconfigure(errors="replace")


def version() -> str:
    """Looks up the version that is installed."""
    try:
        return metadata.version("cosmicai")
    except metadata.PackageNotFoundError:
        return "(not installed)"


@contextmanager
def ended_in_order() -> Iterator[None]:
    """Within it SIGTERM and SIGHUP unwind the stack, so that whatever was started is ended, too."""
    before = {number: signal.getsignal(number) for number in ENDING}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:  # nohup wants it ignored
            signal.signal(number, _end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    for other in ENDING:
        signal.signal(other, signal.SIG_IGN)  # what is unwinding ends by itself
    raise SystemExit(128 + number)
