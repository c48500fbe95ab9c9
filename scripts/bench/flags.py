"""The flags that every benchmark has.

This module is light to import. The processes that are measured import it with the package that they belong to.
"""

import argparse
from pathlib import Path

from scripts.json_file import add_json
from scripts.user_files import add_overwrite


def add_common_arguments(parser: argparse.ArgumentParser, quick: str) -> None:
    """Add the flags that every benchmark has.

    Args:
        parser: The benchmark's own parser.
        quick: What `--quick` leaves out, for the help.
    """
    parser.add_argument("--quick", action="store_true", help=quick)
    add_json(parser, "all figures of every round")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="a chart, .svg or .png (needs matplotlib)")
    add_overwrite(parser, "the files that --json and --picture name")
