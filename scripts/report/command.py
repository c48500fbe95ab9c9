"""cosmicai report: one page of figures about a run."""

import argparse
import webbrowser
from pathlib import Path

from lambda_image.errors import UsageError
from lambda_image.partition_names import printable
from scripts.extras import require

HELP = "write a page of figures about a run: timeline, accuracy, speed and cost, in one HTML file"
EXAMPLE = "cosmicai report out/demo --open"

FILE, FOLDER = "report.html", "report"  # in the folder of the run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "results",
        metavar="RUN",
        nargs="?",
        default="out/demo",
        help="the folder of a run's results, or the name of a run in out/",
    )
    parser.add_argument(
        "--no-files", action="store_true", help=f"write {FILE} alone, without PNG, SVG and CSV of each figure"
    )
    parser.add_argument("--open", action="store_true", help="open the page in the browser")


def run(args: argparse.Namespace) -> int:
    require("vl_convert", "jinja2")
    from scripts.catalogue.run_source import ResultFolderSource, find_run

    source = find_run(args.results)
    if not isinstance(source, ResultFolderSource):
        raise UsageError(f"{source.place} is a file of predictions: name the folder of a run, which has its times, too")
    page = write_report(source.folder, files=not args.no_files)
    print(f"report in {printable(page)}")
    if args.open and not webbrowser.open(page.resolve().as_uri()):
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
    from scripts.report.page import to_html
    from scripts.report.run_facts import read_run
    from scripts.report.run_page import run_page

    page = run_page(read_run(ResultFolderSource(folder)))
    target = folder / FILE
    partial = target.with_suffix(".html.partial")
    partial.write_text(to_html(page), encoding="utf-8")
    partial.replace(target)
    if files:
        from scripts.report.figure_files import write_figures

        write_figures([figure for section in page.sections for figure in section.figures], folder / FOLDER)
    return target
