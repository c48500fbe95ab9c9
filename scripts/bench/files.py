"""What a benchmark leaves behind: the figures as JSON, a picture, and what failed."""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lambda_image.errors import InvalidEvent

if TYPE_CHECKING:
    from rich.console import Console

PICTURES = (".svg", ".png")


def add_file_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", type=Path, metavar="FILE", help="all figures of every round")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="a chart, .svg or .png (needs matplotlib)")


def check_files(figures: Path | None, picture: Path | None, find: Callable[[str], object | None] = find_spec) -> None:
    """Before minutes of measuring, not after. `find`: a package, or None where it is not installed."""
    for flag, file in (("--json", figures), ("--picture", picture)):
        if file is not None and (file.is_dir() or not file.absolute().parent.is_dir()):
            raise InvalidEvent(f"{flag} {file} cannot be written: it must be a file in a folder that exists")
    if picture is not None and picture.suffix not in PICTURES:
        raise InvalidEvent(f"--picture {picture}: its name must end in {' or '.join(PICTURES)}")
    if picture is not None and find("matplotlib") is None:
        raise InvalidEvent(f"--picture {picture} needs matplotlib: pip install -e '.[bench]' installs it")


def write_files(
    report: Mapping[str, Any],
    figures: Path | None,
    picture: Path | None,
    draw: Callable[[Mapping[str, Any], Path], bool],
    console: "Console",
) -> None:
    """`draw` says whether there was anything to draw, and may raise ImportError."""
    if figures is not None:
        figures.write_text(json.dumps(report, indent=1) + "\n")
        console.print(f"figures in {figures}", markup=False)
    if picture is not None:
        try:
            said = f"picture in {picture}" if draw(report, picture) else "no picture is drawn: nothing was measured"
        except ImportError as error:
            said = f"no picture is drawn: {error}. pip install -e '.[bench]' installs matplotlib"
        console.print(said, markup=False)


def tell_failures(failures: Sequence[str]) -> int:
    """The exit status."""
    for failure in failures:
        print(f"cosmicai: {failure}", file=sys.stderr)
    return 1 if failures else 0
