"""cosmicai completion: what completes commands, flags and files in a shell."""

import argparse
from collections.abc import Iterator
from pathlib import Path

from scripts.extras import require

HELP = "print a script that completes commands, flags and files at the Tab key"
EXAMPLE = "cosmicai completion bash > ~/.local/share/bash-completion/completions/cosmicai"

SHELLS = ("bash", "zsh", "fish")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", metavar="SHELL", choices=SHELLS, help=f"one of {', '.join(SHELLS)}")


def run(args: argparse.Namespace) -> int:
    require("shtab")
    import shtab

    from scripts.cli import COMMANDS, make_parser  # which knows this command

    parser = make_parser(COMMANDS, whole=True)
    for action in actions(parser):
        if action.type is Path:
            vars(action)["complete"] = shtab.FILE  # where shtab looks for it
    print(shtab.complete(parser, args.shell))
    return 0


def actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yields every flag and argument of a parser and of its commands."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from actions(command)
