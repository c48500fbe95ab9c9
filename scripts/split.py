"""cosmicai split: partitions out of one dataset."""

import argparse
import math
import shutil
import tempfile
from pathlib import Path

from lambda_image.data.partition import FileFormat, open_partition, read_partition, write_partition
from lambda_image.errors import PartitionMalformed, UsageError
from lambda_image.manifest import deal
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
    parser.add_argument("--size-mb", type=float, default=25.0, help=SIZE_HELP)
    parser.add_argument("--format", choices=("safetensors", "pt"), default="safetensors", help="format of the files")
    parser.add_argument(
        "--out", type=Path, required=True, help="a new or empty directory, for 1.safetensors, 2..., ..."
    )


def run(args: argparse.Namespace) -> int:
    if not (args.size_mb > 0 and math.isfinite(args.size_mb)):
        raise UsageError(f"--size-mb is {args.size_mb}; allowed: a number above 0")
    if args.dataset.is_dir():
        raise UsageError(f"{args.dataset} is a folder: give one dataset file")
    files, rows = split(args.dataset, args.out, args.size_mb, args.format)
    print(f"{counted(rows, 'galaxy', 'galaxies')} in {counted(files, 'file')} in {args.out}")
    return 0


def split(dataset: Path, out: Path, size_mb: float, file_format: FileFormat) -> tuple[int, int]:
    """Cuts a dataset into files of about the same size.

    The files carry the columns of the dataset, and as the column `row` which of its rows they have. A dataset that has
    this column already, because it was cut from another, keeps it.

    Args:
        dataset: a .pt or .safetensors file.
        out: a new or empty folder, which gets all files or is not made.
        size_mb: size at most of the images, magnitudes and redshifts in each file, in 2^20 bytes. Further columns and
            the file's header are not counted, as published partitions have none: 25 MB are 1,278 galaxies.
        file_format: format of the files.

    Returns:
        How many files and how many galaxies were written.

    Raises:
        UsageError: `out` cannot be such a folder.
        PartitionMissing: there is no dataset.
        PartitionMalformed: the dataset cannot be read.
    """
    out = out.resolve()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"--out {out} exists and is not an empty directory: other partitions would mix with these")
    if not out.parent.is_dir():
        raise UsageError(f"--out {out} would be in a folder that does not exist: make it, or name another")
    stream = open_partition(dataset)
    rows = len(stream)
    if not rows:
        raise PartitionMalformed(f"{dataset}: it holds no galaxies", object=str(dataset))
    rows_per_file = max(1, int(size_mb * MIB) // stream.sizes.row_bytes)
    shares = deal(range(rows), math.ceil(rows / rows_per_file))
    partial = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        for number, share in enumerate(shares, start=1):
            part = read_partition(dataset, rows=(share[0], share[-1] + 1))
            path = partial / f"{number}.{file_format}"
            write_partition(
                path,
                part.images,
                part.magnitudes,
                part.redshifts,
                file_format=file_format,
                columns=part.columns,
                rows=part.rows,
            )
        partial.chmod(0o755)  # mkdtemp's is private
        partial.replace(out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return len(shares), rows
