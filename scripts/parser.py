"""The parser of the command line. What it refuses it says in one line, with what is allowed or was meant."""

import argparse
import difflib
import re
from collections.abc import Sequence
from typing import Any, NoReturn

from lambda_image.errors import UsageError

KINDS = {"int": "a whole number", "float": "a number", "Path": "a path"}  # what types are called by people


class CommandParser(argparse.ArgumentParser):
    """Raises UsageError where argparse would print its usage and end the process. Takes no flag for another."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **settings})  # as argparse would take --ou, and --out for --quiet

    def parse_command(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Parse the words of a command line.

        Args:
            arguments: The words behind the program's name.

        Returns:
            The values. `parser` is that of the command, where one is named.

        Raises:
            UsageError: A word is wrong, unknown or missing.
        """
        args, unknown = self.parse_known_args(arguments)
        if unknown:
            parser = getattr(args, "parser", self)
            assert isinstance(parser, CommandParser)
            parser.refuse(unknown)
        return args

    def parse_known_args(  # type: ignore[override]  # of overloads that nobody here needs
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse as argparse does, which calls this for each parser with the words that are left to it."""
        self._words = list(args or ())
        return super().parse_known_args(args, namespace)

    def refuse(self, unknown: Sequence[str]) -> NoReturn:
        """Say which word is unknown, and which flag may have been meant."""
        word = next((word for word in unknown if word.startswith("-")), unknown[0])
        if not word.startswith("-"):
            raise UsageError(f"{self.prog} takes no {word!r}: {self._more()}")
        flag = word.partition("=")[0]
        meant = _nearest(flag, list(self._option_string_actions))
        raise UsageError(f"{self.prog} has no {flag}: {meant or self._more()}")

    def error(self, message: str) -> NoReturn:
        """Say in one line what argparse says in several. Raises UsageError."""
        if found := re.fullmatch(r"argument ([^:]+): invalid choice: '(.*)' \(choose from (.*)\)", message):
            choices = found[3].replace("'", "").split(", ")
            meant = _nearest(found[2], choices)
            allowed = f"{found[1]} is {found[2]!r}; allowed: {', '.join(choices)}"
            raise UsageError(f"{allowed}; {meant}" if meant else allowed)
        if found := re.fullmatch(r"argument ([^:]+): invalid (\w+) value: (.*)", message):
            raise UsageError(f"{found[1]} is {found[3]}; allowed: {KINDS.get(found[2], found[2])}")
        if found := re.fullmatch(r"argument ([^:]+): expected .*", message):
            raise UsageError(f"{found[1]} needs a value: {self._more()}")
        if found := re.fullmatch(r"the following arguments are required: (.*)", message):
            if misspelt := [word for word in self._words if self._is_unknown(word)]:
                self.refuse(misspelt)
            raise UsageError(f"{self.prog} needs {found[1]}: {self._more()}")
        raise UsageError(f"{' '.join(message.removeprefix('argument ').split())}: {self._more()}")

    def _is_unknown(self, word: str) -> bool:
        flag = word.partition("=")[0]
        return word.startswith("--") and flag not in self._option_string_actions

    def _more(self) -> str:
        return f"`{self.prog} --help` shows what there is"


def _nearest(word: str, known: Sequence[str]) -> str:
    """A question after what may have been meant; empty where nothing is near."""
    names = {name.lstrip("-"): name for name in known}  # dashes would make any two flags alike
    word = word.lstrip("-")
    near = difflib.get_close_matches(word, names, n=1) or [name for name in names if sorted(name) == sorted(word)]
    return f"did you mean {names[near[0]]}?" if near else ""
