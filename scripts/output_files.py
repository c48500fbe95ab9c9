"""What a measurement leaves behind, which is its figures as JSON and a picture of them."""

from collections.abc import Callable, Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lambda_image.errors import UsageError
from scripts.json_file import write_json
from scripts.user_files import check_new

if TYPE_CHECKING:
    from rich.console import Console

PICTURES = (".svg", ".png")

Draw = Callable[[Mapping[str, Any], Path], bool]  # False where there was nothing to draw


def check_files(
    figures: Path | None,
    picture: Path | None = None,
    find: Callable[[str], object | None] = find_spec,
    *,
    overwrite: bool = False,
) -> None:
    """Check before minutes of measuring that both files can be written afterwards.

    Args:
        figures: The file of `--json`.
        picture: The file of `--picture`.
        find: Finds a package by its name, and returns None where it is not installed.
        overwrite: Whether files that are there may be replaced.

    Raises:
        UsageError: A file cannot be written, or the picture cannot be drawn.
    """
    check_picture("--picture", picture, find)
    check_new({"--json": figures, "--picture": picture}, overwrite=overwrite)


def check_picture(flag: str, file: Path | None, find: Callable[[str], object | None] = find_spec) -> None:
    """Check that the picture of a flag, if it was given, can be drawn afterwards.

    Raises:
        UsageError: It cannot.
    """
    if file is not None and file.suffix not in PICTURES:
        raise UsageError(f"{flag} {file}: its name must end in {' or '.join(PICTURES)}")
    if file is not None and find("matplotlib") is None:
        raise UsageError(f"{flag} {file} needs matplotlib: pip install -e '.[plot]' installs it")


def write_figures(report: Mapping[str, Any], file: Path | None, console: "Console") -> None:
    """Write the report as JSON, if there is a file for it, and say so."""
    write_json(report, file, partial(console.print, markup=False))


def write_picture(report: Mapping[str, Any], file: Path | None, draw: Draw, console: "Console") -> None:
    """Draw the report, if there is a file for that, and say so or why not."""
    if file is None:
        return
    try:
        said = f"picture in {file}" if draw(report, file) else "no picture is drawn, because nothing was measured"
    except ImportError as error:  # matplotlib is there, and something that it needs is not
        said = f"no picture is drawn: {error}. pip install -e '.[plot]' installs matplotlib"
    console.print(said, markup=False)
