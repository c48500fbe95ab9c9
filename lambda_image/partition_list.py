"""The partitions of a run: chosen among what lies under a prefix, and held in little memory. No I/O.

Init, which has 512 MB, holds a million of them. Each is therefore one short text, of some 130 bytes with the pointer to
it. The text begins with the sort key of the name, and tells size and ETag behind it, so that sorting needs no memory of
its own. A partition becomes a Slice, of several objects, when somebody looks at it.
"""

from array import array
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol, overload

from lambda_image.errors import PartitionMissing
from lambda_image.manifest import Slice
from lambda_image.partition_names import END, NAMED, PARTITION_SUFFIXES, Selection, gap, name_in_order, natural_order

FACTS = "\x01"  # before size and ETag; what follows END in a sort key is greater


class Listed(Protocol):
    """An object as a listing has it."""

    @property
    def key(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def etag(self) -> str: ...


class PartitionList(Sequence[Slice]):
    """Partitions in natural order of their names."""

    def __init__(self, prefix: str, rows: list[str]) -> None:
        """Takes rows that are sorted, as `row_of` makes them.

        Args:
            prefix: what all keys begin with.
            rows: one for each partition.
        """
        self._prefix, self._rows = prefix, rows

    @property
    def names(self) -> Collection[str]:
        """The names behind the prefix."""
        return _Names(self._rows)

    def sizes(self) -> Sequence[int]:
        """Returns the bytes of each partition."""
        return array("q", map(size_in, self._rows))

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, at: int) -> Slice: ...
    @overload
    def __getitem__(self, at: slice) -> "PartitionList": ...
    def __getitem__(self, at: int | slice) -> "Slice | PartitionList":
        if isinstance(at, slice):
            return PartitionList(self._prefix, self._rows[at])
        row = self._rows[at]
        return Slice(self._prefix + name_in(row), etag=row[row.rindex(FACTS) :].partition(" ")[2])


class _Names(Collection[str]):
    def __init__(self, rows: Sequence[str]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[str]:
        return map(name_in, self._rows)

    def __contains__(self, name: object) -> bool:
        return any(name == other for other in self)


def row_of(name: str, size: int, etag: str) -> str:
    """Makes one text of a partition, which sorts as its name does."""
    return f"{natural_order(name)}{END}{FACTS}{size} {etag}"


def name_in(row: str) -> str:
    """Returns the name in a row."""
    return name_in_order(row[: row.rindex(FACTS) - 1])


def size_in(row: str) -> int:
    """Returns the bytes in a row."""
    return int(row[row.rindex(FACTS) + 1 :].partition(" ")[0])


class Chosen(NamedTuple):
    """Partitions in natural order of their names, and what the user must be told of them."""

    partitions: PartitionList
    warnings: list[str]


def choose_partitions(listed: Iterable[Listed], prefix: str, place: str, file_limit: int | None) -> Chosen:
    """Chooses the partitions among what lies directly under a prefix.

    An object of 0 bytes is left out with a warning, as a partition without galaxies.

    Args:
        listed: the objects there, and folders, whose keys end in a slash.
        prefix: what all keys begin with; it ends in a slash, or is empty for the root of a bucket.
        place: its URL, for messages.
        file_limit: how many partitions to choose at most; None for all.

    Returns:
        The partitions and warnings.

    Raises:
        PartitionMissing: no object is a partition with galaxies.
        InvalidEvent: the key of a partition cannot be shown on one line.
    """
    rows: list[str] = []
    beside = Selection()
    for found in listed:
        if found.key == prefix:
            continue
        name = found.key.removeprefix(prefix)
        if beside.is_partition(name):
            rows.append(row_of(name, found.size, found.etag))
    for names in (beside.hidden, beside.folders, beside.others):
        names.sort()
    warnings = beside.warnings(place)
    if not rows:
        none = f"no object in {place} ends in {', '.join(PARTITION_SUFFIXES)}"
        besides = f" ({warnings[0]})" if warnings else ""
        from lambda_image.data.foreign import import_of_files  # late: it serves this refusal only

        remedy = import_of_files("FILES", [*beside.hidden, *beside.folders, *beside.others])
        raise PartitionMissing(
            f"{none}{besides}: upload partitions there (cosmicai split makes them) or give another data_prefix{remedy}",
            object=f"{prefix}/",
        )
    rows.sort()
    if file_limit is not None:
        del rows[file_limit:]
    partitions = PartitionList(prefix, rows)
    if missing := gap(partitions.names):
        warnings.append(f"{missing} among the numbers of the partitions in {place}")
    if not all(sizes := partitions.sizes()):
        empty = [name_in(row) for row, size in zip(rows, sizes, strict=True) if not size]
        shown = ", ".join(empty[:NAMED]) + (f" and {len(empty) - NAMED:,} more" if len(empty) > NAMED else "")
        warnings.append(f"{len(empty):,} of {len(rows):,} partitions in {place} have 0 bytes and no galaxies: {shown}")
        if len(empty) == len(rows):
            raise PartitionMissing(f"all partitions in {place} have 0 bytes ({shown}): upload them again")
        partitions = PartitionList(prefix, [row for row, size in zip(rows, sizes, strict=True) if size])
    return Chosen(partitions, warnings)
