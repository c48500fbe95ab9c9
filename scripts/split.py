"""cosmicai split: partitions out of one dataset."""

import argparse
import math
import shutil
import tempfile
from pathlib import Path

from lambda_image.errors import InvalidEvent
from lambda_image.partition import ROW_BYTES, FileFormat, open_partition, write_partition

HELP = "cut a dataset into partitions of about the same size, for the ranks of a run"
EXAMPLE = "cosmicai split galaxies.safetensors --size-mb 25 --out partitions/"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", type=Path, help="a .pt (pickled TensorDataset) or .safetensors file of galaxies")
    parser.add_argument("--size-mb", type=float, default=25.0, help="size of each file, in 10^6 bytes")
    parser.add_argument("--format", choices=("safetensors", "pt"), default="safetensors", help="format of the files")
    parser.add_argument(
        "--out", type=Path, required=True, help="a new or empty directory, for 1.safetensors, 2..., ..."
    )


def run(args: argparse.Namespace) -> int:
    if not (args.size_mb > 0 and math.isfinite(args.size_mb)):
        raise InvalidEvent(f"--size-mb is {args.size_mb}; allowed: a number above 0")
    if args.dataset.is_dir():
        raise InvalidEvent(f"{args.dataset} is a folder: give one dataset file")
    files, rows = split(args.dataset, args.out, args.size_mb, args.format)
    print(f"{rows:,} galaxies in {files} files in {args.out}")
    return 0


def split(dataset: Path, out: Path, size_mb: float, file_format: FileFormat) -> tuple[int, int]:
    """Files and galaxies written to `out`, which gets all of them or is not made.

    Raises InvalidEvent, PartitionMissing or PartitionMalformed.
    """
    out = out.resolve()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InvalidEvent(f"--out {out} exists and is not an empty directory: other partitions would mix with these")
    rows_per_file = max(1, int(size_mb * 1e6) // ROW_BYTES)
    stream = open_partition(dataset)
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        first = files = 0
        for files, images in enumerate(stream.images(rows_per_file), start=1):
            rows = slice(first, first + len(images))
            redshifts = None if stream.redshifts is None else stream.redshifts[rows]
            path = partial / f"{files}.{file_format}"
            write_partition(path, images, stream.magnitudes[rows], redshifts, file_format=file_format)
            first += len(images)
        partial.chmod(0o755)  # mkdtemp's is private
        partial.replace(out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return files, first
