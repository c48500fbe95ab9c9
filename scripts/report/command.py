"""cosmicai report: one page of figures about a run or a sweep."""

import argparse
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

from lambda_image.errors import UsageError
from lambda_image.partition_names import printable
from scripts.extras import require
from scripts.sweep.folder import PLAN

if TYPE_CHECKING:
    from scripts.report.page import Page

HELP = "write a page of figures about a run or a sweep: accuracy, speed, memory and cost, in one HTML file"
EXAMPLE = "cosmicai report out/demo --open"

FILE, FOLDER = "report.html", "report"  # in the folder of the run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "results",
        metavar="RUN",
        nargs="?",
        default="out/demo",
        help="the folder of a run's results, the name of a run in out/, or the folder of a sweep",
    )
    parser.add_argument(
        "--no-files", action="store_true", help=f"write {FILE} alone, without PNG, SVG and CSV of each figure"
    )
    parser.add_argument("--open", action="store_true", help="open the page in the browser")


def run(args: argparse.Namespace) -> int:
    require("vl_convert", "jinja2")
    from scripts.catalogue.run_source import ResultFolderSource, find_run

    if (Path(args.results) / PLAN).is_file():
        return _tell(write_sweep_report(Path(args.results), files=not args.no_files), open_it=args.open)
    source = find_run(args.results)
    if not isinstance(source, ResultFolderSource):
        raise UsageError(f"{source.place} is a file of predictions: name the folder of a run, which has its times, too")
    return _tell(write_report(source.folder, files=not args.no_files), open_it=args.open)


def _tell(page: Path, *, open_it: bool) -> int:
    print(f"report in {printable(page)}")
    if open_it and not webbrowser.open(page.resolve().as_uri()):
        print("no browser could be opened: open the file yourself")
    return 0


def write_report(folder: Path, *, files: bool) -> Path:
    """Writes the report of a run into the folder of its results.

    Args:
        folder: The folder.
        files: Whether each figure is written as PNG, SVG and CSV, too.

    Returns:
        The page.

    Raises:
        InvalidEvent: The folder holds no run that has ended.
        OSError: The page cannot be written.
    """
    from scripts.catalogue.run_source import ResultFolderSource
    from scripts.report.run_facts import read_run
    from scripts.report.run_page import run_page

    return _write(run_page(read_run(ResultFolderSource(folder))), folder, files=files)


def write_sweep_report(folder: Path, *, files: bool) -> Path:
    """Writes the report of a sweep into its folder.

    Args:
        folder: The folder.
        files: Whether each figure is written as PNG, SVG and CSV, too.

    Returns:
        The page.

    Raises:
        InvalidEvent: The sweep is damaged.
        OSError: The page cannot be written.
    """
    from scripts.report.sweep_page import sweep_page
    from scripts.sweep.folder import SweepFolder

    sweep = SweepFolder(folder)
    return _write(sweep_page(printable(folder), list(sweep.runs()), len(sweep.plan())), folder, files=files)


def _write(page: "Page", folder: Path, *, files: bool) -> Path:
    from scripts.report.page import to_html

    target = folder / FILE
    partial = target.with_suffix(".html.partial")
    partial.write_text(to_html(page), encoding="utf-8")
    partial.replace(target)
    if files:
        from scripts.report.figure_files import write_figures

        write_figures([figure for section in page.sections for figure in section.figures], folder / FOLDER)
    return target
