"""cosmicai results: the predictions of a run as a catalogue, or its tables once more."""

import argparse
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lambda_image.errors import InvalidEvent, UsageError
from lambda_image.json_text import parse_json
from scripts.json_file import add_json, write_json
from scripts.place_flags import add_place_of_runs
from scripts.runs.run_json import run_figures
from scripts.user_files import add_overwrite, check_new, check_there
from scripts.words import counted

if TYPE_CHECKING:
    from scripts.catalogue.run_source import ResultSource
    from scripts.catalogue.table import Catalogue

HELP = "write the predictions of a run as a catalogue, alone or joined to yours, or show its tables once more"
EXAMPLE = "cosmicai results out/demo --catalogue my_catalogue.fits --out predictions.fits"

PREFIX = re.compile(r"[A-Za-z][A-Za-z0-9_]*")  # FITS, VOTables and SQL take such names without quotes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "results",
        metavar="RUN",
        help="the folder of a run's results, predictions (.parquet), or the ID of a run, whose results are fetched "
        "into out/ID where they are not in out/ yet",
    )
    parser.add_argument(
        "--out",
        type=Path,
        help="the file to write: .csv, .ecsv, .fits, .vot (or .xml) or .parquet; without it, the tables are shown",
    )
    parser.add_argument(
        "--qp",
        type=Path,
        metavar="FILE",
        help="write the redshift distributions as a qp ensemble, .hdf5, which RAIL reads",
    )
    parser.add_argument(
        "--catalogue", type=Path, help="a catalogue of yours (CSV, ECSV, FITS, VOTable, Parquet) to join to by id"
    )
    parser.add_argument(
        "--id",
        metavar="COLUMN",
        help="the column of ids; THEIRS=OURS where the catalogue and the predictions call it differently; without it, "
        "the one that both have",
    )
    parser.add_argument("--prefix", metavar="NAME", help="name the columns as Rubin does: NAME_z_best and so on")
    parser.add_argument(
        "--only-matched", action="store_true", help="leave out rows of the catalogue that the run does not have"
    )
    parser.add_argument(
        "--repeats",
        choices=("refuse", "first"),
        default="refuse",
        help="what is done where several predictions have one id: refuse, or take the first of them",
    )
    add_json(parser, "the figures of the run, or what was written by --out and --qp")
    add_overwrite(parser, "the files that --out, --qp and --json name")
    add_place_of_runs(parser)


def run(args: argparse.Namespace) -> int:
    _check(args)
    check_there("--catalogue", args.catalogue, "a catalogue")
    from scripts.catalogue.run_source import find_run

    source = find_run(args.results, fetch=lambda name: fetch_run(args, name), say=print)
    written = {"--json": args.json, "--out": args.out, "--qp": args.qp}
    check_new(written if args.json else {}, overwrite=args.overwrite, read=[args.catalogue])
    for flag, file in written.items():
        if file is not None and source.holds(file):
            raise UsageError(f"{flag} {file} would be among the results of the run: name another folder")
    said = _write_qp(args, source) if args.qp is not None else []
    if args.out is None:
        write_json({"qp": str(args.qp), "said": said} if args.qp else run_figures(source), args.json, print)
        return 0 if args.qp is not None else show_again(source)
    from scripts.catalogue.writing import check_out, write_catalogue

    check_out(args.out, overwrite=args.overwrite, read=[args.catalogue])
    catalogue, notes = assemble(args, source)
    said = [*said, *notes, *(left_out := write_catalogue(catalogue, args.out))]
    for note in left_out:
        print(note)
    rows, columns = catalogue.table.num_rows, catalogue.table.column_names
    print(f"{counted(rows, 'row')} of {counted(len(columns), 'column')} in {args.out}")
    written = {"out": str(args.out), "qp": args.qp and str(args.qp), "rows": rows, "columns": columns, "said": said}
    write_json(written, args.json, print)
    return 0


def _write_qp(args: argparse.Namespace, source: "ResultSource") -> list[str]:
    from scripts.catalogue.qp_file import check_qp, write_qp

    check_qp(args.qp)
    check_new({"--qp": args.qp, "--out": args.out}, overwrite=args.overwrite, read=[args.catalogue])
    told = write_qp(source, args.qp, args.id if args.catalogue is None else None)
    for line in told:
        print(line)
    return told


def fetch_run(args: argparse.Namespace, name: str) -> Path:
    """Copies the results of a run from where it took place.

    Args:
        args: the flags, which say where that is.
        name: its ID, or the ARN of its execution.

    Returns:
        The folder in which they are now.

    Raises:
        UsageError: no flag and no variable says where to look.
        AccountError: there is no such run, or it has no results.
    """
    from scripts.catalogue.run_source import RESULTS
    from scripts.execution import started_run
    from scripts.runs.finding import find_execution
    from scripts.runs.outcome import results_of
    from scripts.runs.place import open_place
    from scripts.runs.result_folder import result_folder
    from scripts.stack.account import AccountError, explained

    with explained(args.endpoint_url or "AWS"):
        place = open_place(args)
        described = find_execution(place, name)
        started = started_run(described["executionArn"], parse_json(described["input"]))
        if described["status"] == "RUNNING":
            raise AccountError(f"the run {started.name} goes on: {place.command('watch', started.name)} follows it")
        results = results_of(place, started, described, print)
        with result_folder(RESULTS / started.name, keep=True) as out:
            out.clear(print)
            if not (count := out.fill(results.download)):
                raise AccountError(f"the run {started.name} has left nothing in {results.place}")
    print(f"{counted(count, 'result object')} fetched into {out.given}/")
    return out.given


def _check(args: argparse.Namespace) -> None:
    needing = {"--catalogue": args.catalogue, "--prefix": args.prefix}
    if args.qp is None:
        needing |= {"--id": args.id, "--overwrite": args.overwrite}
    if args.out is None and (given := [flag for flag, value in needing.items() if value]):
        raise UsageError(f"{given[0]} needs --out, which names the file to write")
    if args.catalogue is None and (args.only_matched or args.repeats != "refuse"):
        raise UsageError(f"{'--only-matched' if args.only_matched else '--repeats'} needs --catalogue")
    if args.prefix is not None and not PREFIX.fullmatch(args.prefix):
        raise UsageError(f"--prefix is {args.prefix!r}; allowed: a letter, and letters, digits and _ behind it")


def assemble(args: argparse.Namespace, source: "ResultSource") -> "tuple[Catalogue, Sequence[str]]":
    """Makes what the flags ask for, and prints what happened on the way.

    Args:
        args: the flags.
        source: the results of the run.

    Returns:
        The catalogue, and what happened.

    Raises:
        UsageError: the columns that flags name are not there.
        InvalidEvent: the run has no predictions, or the catalogue cannot be read or joined.
    """
    from scripts.catalogue import ids, meanings
    from scripts.catalogue.joining import join
    from scripts.catalogue.reading import read_catalogue
    from scripts.catalogue.run_predictions import read_predictions
    from scripts.catalogue.table import Catalogue

    table, notes = read_predictions(source, meanings.columns_to_join if args.catalogue else None)
    own = meanings.id_columns(table.schema)
    run_id = _run_id(source)
    galaxies = f"Photometric redshifts of {counted(table.num_rows, 'galaxy', 'galaxies')} by Cosmic AI"
    text = f"{galaxies}, run {run_id}." if run_id else f"{galaxies}."
    named = f"the predictions in {source.place}"
    if run_id:  # another run may be there now than the one that was meant
        named = f"{named} (of {run_id})"
    if args.prefix is not None:
        table = meanings.with_interval(table)
    if args.catalogue is None:
        main_id = ids.choose_main_id(own, args.id)
        catalogue = Catalogue(table, meanings.meanings_of(table, main_id), text)
        if args.prefix is not None:
            catalogue = meanings.renamed(catalogue, args.prefix)
    else:
        given, more = read_catalogue(args.catalogue)
        by = ids.choose_id(given.table.column_names, own, args.id, named)
        results = table.select([by[1], *meanings.computed(table.column_names)])
        predictions = Catalogue(results, meanings.meanings_of(results, by[1]), text)
        given = replace(given, meanings=meanings.guessed(given.table, given.meanings, by[0]))
        catalogue, how = join(
            given,
            predictions,
            by,
            prefix=args.prefix,
            only_matched=args.only_matched,
            repeats=args.repeats == "first",
            named=named,
        )
        notes += more + how
    for note in notes:
        print(note)
    return catalogue, notes


def _run_id(source: "ResultSource") -> str | None:
    from scripts.catalogue.run_source import read_json

    manifest = read_json(source, "manifest.json")
    return str(manifest[0].get("run_id")) if manifest else None


def show_again(source: "ResultSource") -> int:
    """Shows the tables that ended the run.

    Raises:
        InvalidEvent: the run has left no summary.
    """
    from scripts.runs.outcome import show_results

    if not show_results(source, print):
        where = f"{source.place} holds no summary, which a run writes at its end"
        raise InvalidEvent(f"{where}: --out writes the predictions that are there")
    return 0
