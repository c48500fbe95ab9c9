"""A whole dataset in memory, be it one file or a folder of partitions."""

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from lambda_image.data.columns import Columns, join_columns
from lambda_image.data.partition import Partition, count_rows, open_partition, read_partition
from lambda_image.data.sizes import Sizes
from lambda_image.errors import PartitionMalformed, PartitionMissing
from lambda_image.partition_names import PARTITION_SUFFIXES, printable, select

BATCH_ROWS = 256  # read at a time into what the folder's galaxies share: 5 MB of images


def read_dataset(path: str | os.PathLike[str], *, sizes: Sizes | None = None) -> Partition:
    """Reads a dataset into memory.

    A folder's partitions follow one another in natural order (2 before 10), as they do in a run. Other files in it are
    left out.

    Args:
        path: A file (.safetensors, or .pt as published), or a folder of such files.
        sizes: What a network takes, as `Engine.sizes` says. The default is what the file has, or every file of the
            folder.

    Returns:
        All galaxies, with values that are not finite as they are. Where only some partitions have redshifts, those of
        the others are NaN. Where only some have a column, the values of the others are masked.

    Raises:
        PartitionMissing: There is nothing at the path, or no partition in the folder.
        PartitionMalformed: A file cannot be read, or has other sizes than the first. The message names it.
    """
    folder = Path(path)
    if not folder.is_dir():
        return read_partition(path, sizes=sizes)
    files = choose_files(folder.iterdir())
    if not files:
        suffixes = ", ".join(PARTITION_SUFFIXES)
        from lambda_image.data.foreign import import_of_files  # late: it serves this refusal only

        remedy = import_of_files(printable(folder), [path.name for path in folder.rglob("*")])
        problem = f"the folder {printable(folder)} holds no partitions, because no file in it ends in {suffixes}"
        raise PartitionMissing(problem + remedy)
    return _read_folder(files, os.fspath(path), sizes)


def choose_files(paths: Iterable[Path]) -> list[Path]:
    """Chooses the partitions among files of one folder, as a run chooses them among objects on S3.

    Args:
        paths: Files, and whatever else is in the folder.

    Returns:
        Those that are partitions by their names, in natural order.

    Raises:
        InvalidEvent: The name of one has a control character, or is not UTF-8.
    """
    files = {path.name: path for path in paths if path.is_file()}
    return [files[name] for name in select(files).partitions]


def _read_folder(files: list[Path], name: str, wanted: Sizes | None) -> Partition:
    """Into arrays made once, so that no galaxy is in memory twice and no more than one file is open."""
    rows = sum(count_rows(file, sizes=wanted) for file in files)
    sizes = wanted or open_partition(files[0]).sizes
    images, magnitudes = np.empty((rows, *sizes.image), np.float32), np.empty((rows, sizes.magnitudes), np.float32)
    redshifts, known = np.full(rows, np.nan, np.float32), False
    numbers, columns = np.empty(rows, np.int64), list[tuple[int, Columns]]()
    row = 0
    for file in files:
        part = open_partition(file, sizes=wanted)
        if part.sizes != sizes:
            raise PartitionMalformed(f"{part.name}: it has {part.sizes}, where {files[0].name} has {sizes}")
        numbers[row : row + len(part)] = part.rows
        columns.append((len(part), {name: values.copy() for name, values in part.columns.items()}))
        magnitudes[row : row + len(part)] = part.magnitudes
        if part.redshifts is not None:
            redshifts[row : row + len(part)], known = part.redshifts, True
        for batch in part.images(BATCH_ROWS):
            images[row : row + len(batch)] = batch
            row += len(batch)
    return Partition(images, magnitudes, redshifts if known else None, name, join_columns(columns), numbers)
