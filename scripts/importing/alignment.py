"""Whether the arrays that were chosen go together: each has a row for each galaxy, and the same galaxy in each row."""

from collections.abc import Iterable

import numpy as np

from lambda_image.errors import PartitionMalformed
from scripts.id_names import ID_NAMES, folded
from scripts.importing.contents import Contents, split_name


def check_lengths(contents: Contents, names: Iterable[str], rows: int) -> None:
    """Refuses an array with another number of rows, whose first rows would be taken for those of the galaxies.

    Args:
        contents: What holds the arrays.
        names: The arrays.
        rows: How many galaxies there are.

    Raises:
        PartitionMalformed: An array has more or fewer rows.
    """
    for name in names:
        if contents.arrays[name].shape[0] != rows:
            raise PartitionMalformed(
                f"{contents.name} has {rows:,} galaxies, and another number of rows in {contents.listed([name])}: join "
                "them by their ids first, or name another array",
                object=contents.name,
            )


def check_order(contents: Contents, names: Iterable[str], rows: int, step: int) -> None:
    """Refuses arrays of several tables whose ids say that a row is not the same galaxy in all of them.

    Args:
        contents: What holds the tables.
        names: The arrays that are read by the same row.
        rows: How many galaxies there are.
        step: How many rows are read at a time.

    Raises:
        PartitionMalformed: The ids of two tables differ.
    """
    used = dict.fromkeys(split_name(name)[0] for name in names)
    found: dict[str, dict[str, str]] = {}
    for name, column in contents.arrays.items():
        table, last = split_name(name)
        if table in used and folded(last) in ID_NAMES and column.shape == (rows,):
            found.setdefault(folded(last), {})[table] = name
    for same in found.values():
        first, *others = same.values()
        for other in others:
            for start in range(0, rows, step):
                _compare(contents, first, other, start, min(start + step, rows))


def _compare(contents: Contents, first: str, other: str, start: int, stop: int) -> None:
    ours, theirs = (np.ma.getdata(contents.arrays[name].read(start, stop)) for name in (first, other))
    if ours.dtype.kind == theirs.dtype.kind and (differing := ours != theirs).any():
        row = start + int(np.argmax(differing))
        raise PartitionMalformed(
            f"{contents.name} has another galaxy in row {row} of {first} than of {other}: join the tables by their ids "
            "first, or name the ids of the galaxies with --id if the rows go together",
            object=contents.name,
        )
