"""What comes out of a run that has ended: its results as files, its tables and report, and how it ended."""

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console, RenderableType

from lambda_image import errors
from lambda_image.errors import InvalidEvent, RunError
from lambda_image.partition_names import printable
from lambda_image.summary import message_of
from scripts.catalogue.run_source import ResultFolderSource, ResultSource, read_json
from scripts.console import print_tables
from scripts.report.command import write_report
from scripts.runs.following import StartedRun
from scripts.runs.place import Place
from scripts.runs.result_folder import ResultFolder
from scripts.runs.stored_results import StoredResults
from scripts.runs.tables import run_tables
from scripts.words import counted

TABLE_WIDTH = 110  # where the output is no terminal, which would know its own
SHOWN = ("summary", "combined_data")  # what tables and reports are made of
ENDINGS = {"TIMED_OUT": "took too long and was ended", "ABORTED": "was stopped"}


class ResultsToCopy(ResultSource, Protocol):
    """The results of a run, and the way to copy them."""

    def download(self, folder: Path) -> int:
        """Copies all of them into a folder, and returns how many there are."""


def results_of(
    place: Place, started: StartedRun, described: Mapping[str, Any], print_line: Callable[[str], None]
) -> StoredResults:
    """Finds the results of a run that has ended, and makes the summary of one that ended before its last step.

    Args:
        place: where it ran.
        started: the run.
        described: the execution as Step Functions describes it.
        print_line: is told of a summary that was made, or could not be made.
    """
    s3 = place.client("s3")
    if described["status"] != "SUCCEEDED":
        from scripts.runs.late_summary import summarise_late  # late, as it brings all of Summarize

        try:
            if summarise_late(s3, started.bucket, started.result_path, described) is not None:
                print_line("the run ended before its last step: its summary was made of what the ranks have left")
        except RunError as error:
            print_line(f"no summary could be made of what the ranks have left: {error}")
    return StoredResults(s3, started.bucket, started.result_path)


def collect(results: ResultsToCopy, out: ResultFolder, print_line: Callable[[str], None]) -> int:
    """Brings the results of a run home.

    Args:
        results: where they are.
        out: where they go.
        print_line: shows a line of text.

    Returns:
        How many there are.

    Raises:
        InvalidEvent: they could not be written; the run has been shown.
    """
    try:
        return out.fill(results.download)
    except OSError as error:
        show_results(results, print_line)
        problem = f"the results could not be written to --out {printable(out.given)}: {error.strerror}"
        raise InvalidEvent(problem) from error


def report(described: Mapping[str, Any], out: ResultFolder, count: int, print_line: Callable[[str], None]) -> int:
    """Shows a run whose results are home already, so that nothing that goes wrong at the terminal costs them.

    Args:
        described: the execution as Step Functions describes it.
        out: where its results are.
        count: how many there are.
        print_line: shows a line of text.

    Returns:
        The exit status of a command that has done nothing else.
    """
    if count:
        show_results(ResultFolderSource(out.path), print_line)
        print_line(f"{counted(count, 'result object')} in {out.given}/")
        _write_report(out.given, print_line)
    return tell_end(described, out.given if count else None)


def _write_report(folder: Path, print_line: Callable[[str], None]) -> None:
    """A run is not worse for a report that cannot be written."""
    if find_spec("vl_convert") is None or not all((folder / f"{name}.json").exists() for name in SHOWN):
        return
    try:
        print_line(f"report in {write_report(folder, files=False)}")
    except OSError as error:
        print_line(f"no report could be written: {error}")


def tell_end(described: Mapping[str, Any], results: Path | None) -> int:
    """Says on the error output how a run failed.

    Args:
        described: the execution as Step Functions describes it.
        results: the folder of its results, if there are any.

    Returns:
        The exit status, which is 0 for a run that has succeeded.
    """
    status = str(described["status"])
    if status == "SUCCEEDED":
        return 0
    error, cause = described.get("error"), message_of(described["cause"]) if described.get("cause") else None
    ours = cause and hasattr(errors, str(error))  # a class of ours means nothing to people
    reason = [None if ours else error, cause]
    print(
        ": ".join([f"cosmicai: the run {ENDINGS.get(status, status.lower())}", *filter(None, reason)]), file=sys.stderr
    )
    if results is not None:  # the cause names their place on the endpoint, which may be gone
        print(f"cosmicai: what lay under results/ in that run is in {results}/ now", file=sys.stderr)
    return 1


def show_results(results: ResultSource, print_line: Callable[[str], None]) -> bool:
    """Shows the tables of a run, if it has left a summary.

    Returns:
        Whether it has.
    """
    summary, records = (read_json(results, f"{name}.json") for name in ("summary", "combined_data"))
    if summary is None or records is None:
        return False
    show_run(summary, records, print_line)
    return True


def show_run(
    summary: Mapping[str, Any], records: Sequence[Mapping[str, Any]], print_line: Callable[[str], None]
) -> None:
    """Shows the tables of a run and its warnings.

    Args:
        summary: the content of `summary.json`.
        records: the content of `combined_data.json`.
        print_line: shows a line of text.
    """
    show(run_tables(summary, records))
    for warning in summary["warnings"]:
        print_line(f"warning: {warning}")


def show(tables: RenderableType) -> None:
    """Prints tables, without colours and trailing blanks where the output is no terminal."""
    if sys.stdout.isatty():
        print_tables(Console(), tables)
        return
    console = Console(width=TABLE_WIDTH, highlight=False)
    with console.capture() as captured:
        print_tables(console, tables)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()), flush=True)
