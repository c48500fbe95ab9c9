"""The standard output, for tables."""

import sys

from rich.console import Console


def output_console(width: int) -> Console:
    """Return a console on the standard output, `width` columns wide where that is no terminal."""
    return Console(width=None if sys.stdout.isatty() else width, highlight=False)
