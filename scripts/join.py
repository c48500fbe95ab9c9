"""cosmicai join: one dataset out of partitions, or some rows of one."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lambda_image.data.columns import join_columns
from lambda_image.data.dataset import BATCH_ROWS
from lambda_image.data.partition import (
    FileFormat,
    Partition,
    PartitionStream,
    count_rows,
    open_partition,
    write_partition,
)
from lambda_image.errors import PartitionMalformed, UsageError
from lambda_image.partition_names import printable
from scripts import execution
from scripts.user_files import add_overwrite, check_new
from scripts.words import counted

HELP = "put partitions together into one dataset, or take some rows of a dataset"
EXAMPLE = "cosmicai join partitions/ --rows 0:250 --out small.safetensors"

FORMATS: dict[str, FileFormat] = {".safetensors": "safetensors", ".pt": "pt"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "data", nargs="+", type=Path, metavar="DATA", help="files and folders of partitions, in the order of their rows"
    )
    parser.add_argument("--rows", metavar="START:STOP", help="the rows from START to before STOP; without one, from 0")
    parser.add_argument("--out", type=Path, required=True, help="the dataset to write, .safetensors or .pt")
    add_overwrite(parser, "the file that --out names")


def run(args: argparse.Namespace) -> int:
    if args.out.suffix not in FORMATS:
        raise UsageError(f"--out {printable(args.out)} must end in {' or '.join(FORMATS)}")
    files = [file for data in args.data for file in execution.partition_files(data, "")[0]]
    check_new({"--out": args.out}, overwrite=args.overwrite, read=files)
    counts = [count_rows(file) if file.stat().st_size else 0 for file in files]
    start, stop = parse_rows(args.rows, sum(counts))
    joined = join(files, counts, start, stop)
    own = np.array_equal(joined.rows, np.arange(len(joined)))  # nothing is said by a number that a row has anyway
    write_partition(
        args.out,
        joined.images,
        joined.magnitudes,
        joined.redshifts,
        file_format=FORMATS[args.out.suffix],
        columns=joined.columns,
        rows=None if own else joined.rows,
    )
    galaxies = counted(len(joined), "galaxy", "galaxies")
    print(f"{galaxies} of {counted(len(files), 'file')} in {printable(args.out)}")
    return 0


def parse_rows(text: str | None, total: int) -> tuple[int, int]:
    """Reads the flag `--rows`.

    Args:
        text: START:STOP, either of which may be left out, or the number of rows from the first.
        total: how many rows there are.

    Raises:
        UsageError: there are no such rows.
    """
    if text is None:
        return 0, total
    first, colon, last = text.partition(":")
    if not colon:
        first, last = "", first
    try:
        start, stop = (int(word) if word else default for word, default in ((first, 0), (last, total)))
    except ValueError:
        start, stop = -1, -1
    if not (0 <= start < stop <= total):
        raise UsageError(f"--rows is {text!r}; allowed: START:STOP within 0:{total}, such as 0:{min(250, total)}")
    return start, stop


def join(files: Sequence[Path], counts: Sequence[int], start: int, stop: int) -> Partition:
    """Puts the rows [start, stop) of files that follow one another into memory.

    The rows' numbers are those of the dataset that the files were cut from. Where these repeat, because the files are
    from several datasets, rows are numbered anew.

    Args:
        files: partitions.
        counts: how many rows each has.
        start: the first row.
        stop: the row behind the last.

    Raises:
        PartitionMalformed: a file cannot be read, or has other sizes or columns than the first.
    """
    slices, begin = [], 0
    for file, count in zip(files, counts, strict=True):
        first, last = max(start - begin, 0), min(stop - begin, count)
        if first < last:
            slices.append((file, (first, last)))
        begin += count
    head = open_partition(slices[0][0], rows=(0, 0))
    images, row = np.empty((stop - start, *head.sizes.image), np.float32), 0
    numbers, magnitudes, redshifts, columns, known = [], [], [], [], False
    for file, wanted in slices:  # of which no more than one is open
        stream = open_partition(file, rows=wanted)
        _check_alike(head, stream)
        numbers.append(stream.rows.copy())
        magnitudes.append(stream.magnitudes.copy())
        columns.append((len(stream), {name: values.copy() for name, values in stream.columns.items()}))
        known = known or stream.redshifts is not None
        unknown = np.full(len(stream), np.nan, np.float32)
        redshifts.append(unknown if stream.redshifts is None else stream.redshifts.copy())
        for batch in stream.images(BATCH_ROWS):
            images[row : row + len(batch)] = batch
            row += len(batch)
    rows = np.concatenate(numbers)
    return Partition(
        images,
        np.concatenate(magnitudes),
        np.concatenate(redshifts) if known else None,
        columns=join_columns(columns),
        rows=rows if len(np.unique(rows)) == len(rows) else np.arange(len(rows)),
    )


def _check_alike(first: PartitionStream, other: PartitionStream) -> None:
    if other.sizes != first.sizes:
        raise PartitionMalformed(f"{other.name}: it has {other.sizes}, where {first.name} has {first.sizes}")
    if difference := first.columns.keys() ^ other.columns.keys():
        name = min(difference)
        has, lacks = (first, other) if name in first.columns else (other, first)
        raise PartitionMalformed(
            f"{lacks.name}: it has no column {name!r}, which {has.name} has, and a file has all or none"
        )
