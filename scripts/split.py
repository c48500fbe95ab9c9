"""cosmicai split: partitions out of one dataset."""

import argparse
import math
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from lambda_image.data.foreign import import_of_files
from lambda_image.data.partition import (
    FileFormat,
    Partition,
    open_partition,
    read_partition,
    write_partition,
)
from lambda_image.data.sizes import PUBLISHED, Sizes
from lambda_image.dealing import deal
from lambda_image.errors import PartitionMalformed, UsageError
from lambda_image.partition_names import printable
from scripts.flag_values import check_positive, check_whole
from scripts.user_files import add_overwrite, check_new_folder, check_there, make_way
from scripts.words import counted

MIB = 1 << 20  # the unit of published sizes: 25 MB are 1,278 rows

HELP = "cut a dataset into partitions of about the same size, for the ranks of a run"
SIZE_HELP = (
    "size at most of the images, magnitudes and redshifts in each file, in 2^20 bytes as published sizes are: 25 are "
    "1,278 galaxies; further columns and the header are not counted"
)
EXAMPLE = "cosmicai split galaxies.safetensors --size-mb 25 --out partitions/"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", type=Path, help="a .pt (pickled TensorDataset) or .safetensors file of galaxies")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--size-mb", "--size-mib", type=float, default=25.0, help=SIZE_HELP)
    size.add_argument("--rows", type=int, help="galaxies at most in each file, instead of a size")
    parser.add_argument("--format", choices=("safetensors", "pt"), default="safetensors", help="format of the files")
    parser.add_argument(
        "--out", type=Path, required=True, help="a new or empty directory, for 1.safetensors, 2..., ..."
    )
    add_overwrite(parser, "partitions that are in the directory")


def run(args: argparse.Namespace) -> int:
    check_whole("--rows", args.rows)
    check_positive("--size-mb", args.size_mb)
    check_there("", args.dataset, "a dataset", folders=True)
    if args.dataset.is_dir():
        remedy = import_of_files(printable(args.dataset), [path.name for path in args.dataset.rglob("*")])
        raise UsageError(f"{args.dataset} is a folder: give one dataset file{remedy}")
    files, rows = split(args.dataset, args.out, args.size_mb, args.format, args.rows, args.overwrite)
    print(f"{counted(rows, 'galaxy', 'galaxies')} in {counted(files, 'file')} in {args.out}")
    return 0


def split(
    dataset: Path,
    out: Path,
    size_mb: float,
    file_format: FileFormat,
    rows_per_file: int | None = None,
    overwrite: bool = False,
) -> tuple[int, int]:
    """Cuts a dataset into files of about the same size.

    The files carry the columns of the dataset, and as the column `row` which of its rows they have. A dataset that has
    this column already, because it was cut from another, keeps it.

    Args:
        dataset: a .pt or .safetensors file.
        out: a new or empty folder, which gets all files or is not made.
        size_mb: size at most of the images, magnitudes and redshifts in each file, in 2^20 bytes. Further columns and
            the file's header are not counted, as published partitions have none: 25 MB are 1,278 galaxies.
        file_format: format of the files.
        rows_per_file: galaxies at most in each file, instead of a size.
        overwrite: whether partitions that are in the folder are replaced.

    Returns:
        How many files and how many galaxies were written.

    Raises:
        UsageError: `out` cannot be such a folder.
        PartitionMissing: there is no dataset.
        PartitionMalformed: the dataset cannot be read.
    """
    check_new_folder("--out", out, overwrite=overwrite, read=[dataset])
    stream = open_partition(dataset)
    rows = len(stream)
    if not rows:
        raise PartitionMalformed(f"{dataset}: it holds no galaxies", object=str(dataset))
    return write_partitions(
        out,
        rows,
        rows_per_file or rows_of(size_mb, stream.sizes),
        file_format,
        lambda start, stop: read_partition(dataset, rows=(start, stop)),
    ), rows


def rows_of(size_mb: float, sizes: Sizes = PUBLISHED) -> int:
    """How many galaxies a file of this size has, in 2^20 bytes of images, magnitudes and redshifts."""
    return max(1, int(size_mb * MIB) // sizes.row_bytes)


def write_partitions(
    out: Path,
    rows: int,
    rows_per_file: int,
    file_format: FileFormat,
    read: Callable[[int, int], Partition],
    written: Callable[[Partition], None] | None = None,
) -> int:
    """Writes galaxies as files of about the same size, `1.safetensors` and so on, which appear together.

    Args:
        out: a folder that `check_new_folder` has let pass.
        rows: how many galaxies there are.
        rows_per_file: how many a file has at most.
        file_format: format of the files.
        read: gives the galaxies [start, stop). It is asked for neighbouring ones, in order.
        written: is told of each file's galaxies when the file is there.

    Returns:
        How many files were written.
    """
    out = out.resolve()
    shares = deal(range(rows), math.ceil(rows / rows_per_file))
    partial = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        for number, share in enumerate(shares, start=1):
            part = read(share[0], share[-1] + 1)
            write_partition(
                partial / f"{number}.{file_format}",
                part.images,
                part.magnitudes,
                part.redshifts,
                file_format=file_format,
                columns=part.columns,
                rows=part.rows,
            )
            if written is not None:
                written(part)
        partial.chmod(0o755)  # mkdtemp's is private
        make_way(out)  # not before the new ones are whole
        partial.replace(out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return len(shares)
