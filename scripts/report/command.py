"""cosmicai report: one page of figures about a run or a sweep."""

import argparse
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lambda_image.atomic_file import atomic_file
from lambda_image.errors import UsageError
from lambda_image.partition_names import printable
from scripts.extras import require
from scripts.sweep.folder import PLAN

if TYPE_CHECKING:
    from scripts.catalogue.run_source import ResultFolderSource
    from scripts.report.baseline import Baseline
    from scripts.report.page import Page

HELP = "write a page of figures about a run or a sweep: accuracy, speed, memory and cost, in one HTML file"
EXAMPLE = "cosmicai report out/demo --open"

FILE, FOLDER = "report.html", "report"  # in the folder of the run
ENDED = ("summary.json", "runs.csv")  # what a run and a sweep write last


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "results",
        metavar="RUN",
        nargs="*",
        help="the folder of a run's results, the name of a run in out/, or the folder of a sweep; several runs are put "
        "beside each other; without it, the run or sweep in out/ that ended last",
    )
    parser.add_argument(
        "--baseline",
        metavar="FILE",
        type=Path,
        action="append",
        default=[],
        help="what `cosmicai infer --json` wrote on a local machine, to stand beside a sweep; once for each batch size",
    )
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where the page about several runs goes")
    parser.add_argument(
        "--no-files", action="store_true", help=f"write {FILE} alone, without PNG, SVG and CSV of each figure"
    )
    parser.add_argument("--open", action="store_true", help="open the page in the browser")


def run(args: argparse.Namespace) -> int:
    require("vl_convert", "jinja2")
    from scripts.catalogue.run_source import ResultFolderSource, find_run
    from scripts.report.baseline import read_baseline

    named, files = args.results or [latest()], not args.no_files
    baselines = [read_baseline(file) for file in args.baseline]
    if len(named) == 1 and (Path(named[0]) / PLAN).is_file():
        return _tell(write_sweep_report(Path(named[0]), files=files, baselines=baselines), open_it=args.open)
    sources = []
    for one in named:
        source = find_run(one)
        if not isinstance(source, ResultFolderSource):
            raise UsageError(
                f"{source.place} is a file of predictions: name the folder of a run, which has its times, too"
            )
        sources.append(source)
    if len(sources) > 1:
        return _tell(_write_comparison(sources, args.out, files=files, baselines=baselines), open_it=args.open)
    if args.out or baselines:
        flag = "--out" if args.out else "--baseline"
        raise UsageError(f"{flag} is for a sweep or several runs: the page about one run goes into its folder")
    return _tell(write_report(sources[0].folder, files=files), open_it=args.open)


def latest(results: Path | None = None) -> str:
    """Finds the run or sweep that ended last.

    Args:
        results: The folder that holds the folders of runs and sweeps; `out` where it is None.

    Returns:
        Its folder.

    Raises:
        UsageError: There is none.
    """
    from scripts.catalogue.run_source import RESULTS, is_hidden

    results = RESULTS if results is None else results
    ended = [file for name in ENDED for file in results.glob(f"*/{name}") if not is_hidden(file.parent)]
    if not ended:
        raise UsageError(f"there is no run or sweep in {printable(results)}/: name the folder of one")
    return str(max(ended, key=lambda file: file.stat().st_mtime).parent)


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


def write_sweep_report(folder: Path, *, files: bool, baselines: Sequence["Baseline"] = ()) -> Path:
    """Writes the report of a sweep into its folder.

    Args:
        folder: The folder.
        files: Whether each figure is written as PNG, SVG and CSV, too.
        baselines: What a local machine took.

    Returns:
        The page.

    Raises:
        InvalidEvent: The sweep is damaged.
        OSError: The page cannot be written.
    """
    from scripts.report.baseline import read_baseline
    from scripts.report.sweep_page import sweep_page
    from scripts.sweep.beside import local_results
    from scripts.sweep.folder import SweepFolder

    sweep = SweepFolder(folder)
    title = f"Sweep in {printable(folder)}"
    beside = [*baselines, *(read_baseline(file) for file in local_results(folder))]
    page = sweep_page(title, list(sweep.runs()), len(sweep.plan()), beside, sweep.preset())
    return _write(page, folder, files=files)


def _write_comparison(
    sources: Sequence["ResultFolderSource"], out: Path | None, *, files: bool, baselines: Sequence["Baseline"]
) -> Path:
    from scripts.report.several_runs import read_runs
    from scripts.report.sweep_page import sweep_page

    if out is None:
        raise UsageError("several runs have no folder in common: name one for the page by --out")
    runs = read_runs(sources)
    out.mkdir(parents=True, exist_ok=True)
    return _write(sweep_page(f"{len(runs)} runs", runs, len(runs), baselines), out, files=files)


def _write(page: "Page", folder: Path, *, files: bool) -> Path:
    from scripts.report.page import to_html

    target = folder / FILE
    with atomic_file(target) as partial:
        partial.write_text(to_html(page), encoding="utf-8")
    if files:
        from scripts.report.figure_files import write_figures

        write_figures([figure for section in page.sections for figure in section.figures], folder / FOLDER)
    return target
