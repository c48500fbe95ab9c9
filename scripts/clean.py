"""cosmicai clean: a dataset without the galaxies that are no good, and a list of what was dropped and why."""

import argparse
import csv
import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from lambda_image.atomic_file import atomic_file
from lambda_image.data.partition import (
    FileFormat,
    Partition,
    count_rows,
    open_partition,
    read_partition,
    write_partition,
)
from lambda_image.data.quality import MAGNITUDES, Quality, judge_inputs, known_redshifts
from lambda_image.data.sizes import magnitude_columns
from lambda_image.errors import PartitionMalformed, UsageError
from lambda_image.partition_names import PARTITION_SUFFIXES, printable
from scripts import execution
from scripts.console import output_console, plain_table, print_tables
from scripts.flag_values import parse_names
from scripts.json_file import add_json
from scripts.output_files import write_figures
from scripts.records.statistics import OutlierRule, parse_rule
from scripts.user_files import add_overwrite, check_new, check_new_folder, make_way
from scripts.words import counted

HELP = "drop galaxies with missing, impossible or outlying values from a dataset, and list them"
EXAMPLE = "cosmicai clean galaxies.safetensors --outliers 3iqr --out clean.safetensors --dropped dropped.csv"

REASONS = ("image_not_finite", "image_implausible", "magnitude_bad", "redshift_unknown", "flux_contradicts")
WITHOUT_PREDICTION = REASONS[:3]  # a run has no prediction of these, whatever is done about them
OUTLIER = "outlier"
WIDTH = 100


@dataclass(frozen=True)
class CleaningRule:
    """Which galaxies are dropped. Limits are those between which a value is no outlier, by the value's name."""

    reasons: Sequence[str] = WITHOUT_PREDICTION
    limits: dict[str, tuple[float, float]] | None = None

    def judge(self, part: Partition) -> tuple[np.ndarray, list[list[str]]]:
        """Tells which galaxies stay.

        Args:
            part: N galaxies.

        Returns:
            bool [N], and for each galaxy why it goes, empty where it stays.
        """
        flags = judge_inputs(part.images, part.magnitudes)
        unknown = np.ones(len(part), bool) if part.redshifts is None else ~known_redshifts(part.redshifts)
        flags[unknown] |= Quality.REDSHIFT_UNKNOWN
        why: list[list[str]] = [[] for _ in range(len(part))]
        for name in self.reasons:
            for row in np.flatnonzero(flags & Quality[name.upper()]):
                why[row].append(name)
        for name, values in measured(part).items():
            low, high = (self.limits or {}).get(name, (-np.inf, np.inf))
            for row in np.flatnonzero((values < low) | (values > high)):
                why[row].append(f"{OUTLIER} {name}={values[row]:.6g} ({low:.6g} to {high:.6g})")
        return np.array([not reasons for reasons in why], bool), why


def measured(part: Any) -> dict[str, np.ndarray]:
    """Gives the values among which outliers are looked for: magnitudes, and known redshifts.

    Args:
        part: N galaxies, whose images are not looked at.

    Returns:
        float64 [N] by name. NaN where a value is none, which is never an outlier.
    """
    found = {}
    with np.errstate(invalid="ignore"):
        for name, values in zip(magnitude_columns(part.magnitudes.shape[1]), part.magnitudes.T, strict=True):
            found[name] = np.where((values > MAGNITUDES[0]) & (values < MAGNITUDES[1]), values, np.nan).astype(float)
        if part.redshifts is not None:
            found["redshift"] = np.where(known_redshifts(part.redshifts), part.redshifts, np.nan).astype(float)
    return found


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", type=Path, metavar="DATA", help="a dataset file, or a folder of partitions")
    parser.add_argument("--out", type=Path, required=True, help="the clean file, or a new folder for clean partitions")
    parser.add_argument("--dropped", type=Path, metavar="FILE", help="a CSV of each galaxy that is dropped, and why")
    parser.add_argument(
        "--drop",
        default=",".join(WITHOUT_PREDICTION),
        metavar="REASONS",
        help=f"what is dropped for, of {', '.join(REASONS)}",
    )
    parser.add_argument(
        "--outliers",
        default="none",
        metavar="RULE",
        help="drop galaxies of which a magnitude or the redshift lies beyond the quartiles by so many interquartile "
        "ranges, such as 3iqr",
    )
    add_json(parser, "all counts")
    add_overwrite(parser, "the files that --out, --dropped and --json name, and partitions in a folder")


def run(args: argparse.Namespace) -> int:
    rule, reasons = parse_rule(args.outliers), parse_names("--drop", args.drop, REASONS)
    files, warnings = execution.partition_files(args.data, "")
    one = args.data.is_file()
    files = [file for file in files if one or file.stat().st_size]  # a run leaves empty ones out, too
    written = {"--out": args.out if one else None, "--dropped": args.dropped, "--json": args.json}
    check_new(written, overwrite=args.overwrite, read=files)
    if one:
        if args.data.suffix not in PARTITION_SUFFIXES:
            count_rows(args.data)  # or a FITS file would be asked for an --out in FITS
        if args.out.suffix != args.data.suffix:
            raise UsageError(f"--out {args.out} must end in {args.data.suffix}, as DATA does")
    else:
        names = [file.name for file in files]
        check_new_folder("--out", args.out, overwrite=args.overwrite, read=files, names=names)
    limits = find_limits(files, rule) if rule.ranges is not None else {}
    cleaned = clean(files, args.out, one, CleaningRule(reasons, limits), args.dropped)
    console = output_console(WIDTH)
    print_tables(console, _table(cleaned))
    for warning in [*warnings, *cleaned.notes]:
        console.print(f"warning: {warning}", markup=False)
    for name, (low, high) in limits.items():
        console.print(f"{name} is an outlier below {low:.6g} and above {high:.6g}", markup=False)
    if args.dropped is not None:
        console.print(f"{counted(cleaned.dropped, 'row')} in {printable(args.dropped)}", markup=False)
    console.print(f"{counted(cleaned.kept, 'galaxy', 'galaxies')} in {printable(args.out)}", markup=False)
    report = {"kept": cleaned.kept, "dropped": cleaned.dropped, "by_reason": dict(cleaned.reasons), "limits": limits}
    write_figures(report, args.json, console)
    return 0


def find_limits(files: Sequence[Path], rule: OutlierRule) -> dict[str, tuple[float, float]]:
    """Finds between which numbers values are no outliers among all galaxies of a dataset.

    Args:
        files: its partitions, of which the images are not read.
        rule: how far beyond the quartiles a value may lie.
    """
    found: dict[str, list[np.ndarray]] = {}
    for file in files:
        for name, values in measured(open_partition(file)).items():
            found.setdefault(name, []).append(values[np.isfinite(values)])
    return {name: rule.limits(np.concatenate(parts)) for name, parts in found.items()}


@dataclass
class Cleaned:
    """What came of it. A galaxy that is dropped for two reasons counts for both."""

    kept: int
    dropped: int
    reasons: Counter[str]
    notes: list[str]


def clean(files: Sequence[Path], out: Path, one: bool, rule: CleaningRule, dropped: Path | None) -> Cleaned:
    """Writes a dataset without what the rule drops. Nothing appears unless all does.

    Args:
        files: the partitions.
        out: a file where there is one partition, otherwise a folder that gets a file of each.
        one: whether `out` is a file.
        rule: what is dropped.
        dropped: a CSV that gets a row for each galaxy that is, or None.

    Raises:
        PartitionMalformed: a file cannot be read, or no galaxy would be left.
    """
    result = Cleaned(0, 0, Counter(), [])
    partial = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.resolve().parent))
    try:
        with ExitStack() as stack:
            listed = csv.writer(stack.enter_context((partial / "dropped.csv").open("w", newline="", encoding="utf-8")))
            listed.writerow(("source", "row", "reasons"))
            (partial / "kept").mkdir()
            for file in files:
                part = read_partition(file)
                stays, why = rule.judge(part)
                for place in np.flatnonzero(~stays):
                    listed.writerow((file.name, int(part.rows[place]), "; ".join(why[place])))
                    result.reasons.update({reason.split("=")[0] for reason in why[place]})
                result.kept += int(stays.sum())
                result.dropped += int((~stays).sum())
                if stays.any():
                    _write(partial / "kept" / file.name, part, stays)
                else:
                    result.notes.append(f"no galaxy of {printable(file.name)} is left, and no file of it is written")
        if not result.kept:
            raise PartitionMalformed(
                f"no galaxy is left: {counted(result.dropped, 'galaxy', 'galaxies')} would be dropped"
            )
        if dropped is not None:
            with atomic_file(dropped) as target:
                shutil.copyfile(partial / "dropped.csv", target)
        if one:
            (partial / "kept" / files[0].name).replace(out)
        else:
            make_way(out, [file.name for file in files])
            (partial / "kept").replace(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return result


def _write(path: Path, part: Partition, stays: np.ndarray) -> None:
    kind: FileFormat = "pt" if path.suffix == ".pt" else "safetensors"
    write_partition(
        path,
        part.images[stays],
        part.magnitudes[stays],
        None if part.redshifts is None else part.redshifts[stays],
        file_format=kind,
        columns={name: values[stays] for name, values in part.columns.items()},
        rows=part.rows[stays],
    )


def _table(cleaned: Cleaned) -> Table:
    total = cleaned.kept + cleaned.dropped
    table = plain_table("", ("dropped for",), ("galaxies", "share"))
    for reason, count in sorted(cleaned.reasons.items()):
        table.add_row(reason, f"{count:,}", f"{count / total:.2%}")
    table.add_row("any of these", f"{cleaned.dropped:,}", f"{cleaned.dropped / total:.2%}", style="bold")
    return table
