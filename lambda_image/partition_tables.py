"""The predictions of a rank's finished partitions, of which a bounded amount is in memory.

The first HELD_BYTES stay in memory, which are about 700,000 galaxies of the published columns: more than a Lambda
infers within its 900 s at 500 galaxies/s. What is finished beyond them leaves memory once a stretch on S3 has it, and
is read from there again, one stretch at a time, when the rank's table is written. Reading 100 MB back takes seconds
after hours of inference. Nothing but S3 has room for any number of galaxies, as a function's own disk has 512 MB.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from lambda_image.data.predictions import Predictions
from lambda_image.data.table_shape import TableShape
from lambda_image.errors import InvalidEvent, PartitionMissing, StorageUnavailable
from lambda_image.ownership import RunObjects
from lambda_image.results import Work
from lambda_image.stretch_file import Finished, Kept, PartFacts, decode

HELD_BYTES = 32 << 20
PIECE_ROWS = 1 << 16  # of a table that are worked on at a time


class StretchVersion(NamedTuple):
    """A stretch as it was written."""

    key: str
    etag: str


class _Entry(NamedTuple):
    table: Predictions | None  # None where it has left memory
    shape: TableShape
    work: Work
    stays: bool  # in memory, whatever stretch has it
    stretch: StretchVersion | None = None


class PartitionTables:
    """Holds finished partitions by their place in the assignment, and iterates over the places in their order."""

    def __init__(self, objects: RunObjects, held_bytes: int = HELD_BYTES) -> None:
        """Makes it without asking S3.

        Args:
            objects: the run's objects, among them the stretches.
            held_bytes: how much of the tables stays in memory.
        """
        self.objects, self._left_bytes = objects, held_bytes
        self._entries: dict[int, _Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, place: object) -> bool:
        return place in self._entries

    def __iter__(self) -> Iterator[int]:
        return iter(sorted(self._entries))

    def add(self, place: int, part: Finished) -> None:
        """Takes a finished partition."""
        size = part.table.nbytes
        if stays := size <= self._left_bytes:
            self._left_bytes -= size
        self._entries[place] = _Entry(part.table, part.table.shape(), part.work, stays)

    def written(self, stretch: StretchVersion, places: Iterable[int]) -> None:
        """Lets partitions leave memory that a stretch has, if there is no room for them; for any thread."""
        for place in places:
            if not (entry := self._entries[place]).stays:
                self._entries[place] = entry._replace(table=None, stretch=stretch)

    def parts(self) -> list[PartFacts]:
        """What the metadata of a stretch would say of all partitions."""
        return [PartFacts(place, self._entries[place].shape.rows, self._entries[place].work) for place in self]

    def shapes(self) -> Iterator[TableShape]:
        """Describes one table after another."""
        return (self._entries[place].shape for place in self)

    def tables(self) -> Iterator[Predictions]:
        """Gives the rows of one partition after another, in pieces that are the same in each attempt.

        Raises:
            StorageUnavailable: a stretch is not what it was, or S3 does not answer.
            RunSuperseded: the result path belongs to another run.
        """
        stretch: StretchVersion | None = None
        kept: Kept | None = None
        for place in self:
            entry = self._entries[place]  # as it is now: another thread may let it leave memory
            if (table := entry.table) is None:
                if kept is None or entry.stretch != stretch:
                    kept, stretch = None, entry.stretch  # never two of them in memory
                    kept = self._read(entry)
                table = kept.finished[place].table
            for start in range(0, len(table), PIECE_ROWS):
                yield table.rows(start, start + PIECE_ROWS)

    def _read(self, entry: _Entry) -> Kept:
        assert entry.stretch is not None
        key, etag = entry.stretch
        try:
            with self.objects.store.open(key, etag) as reader:
                kept = decode(reader.read(), self.objects.execution)
        except (InvalidEvent, PartitionMissing):
            kept = None
        if kept is None:
            self.objects.check_owner(key)
            url = self.objects.store.url(key)
            raise StorageUnavailable(f"{url} was replaced or removed: the rank's next attempt goes on without it")
        return kept
