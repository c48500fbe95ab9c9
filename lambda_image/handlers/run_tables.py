"""All predictions of a run from the tables of its ranks: one table up to a limit, above it the folder of theirs."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from lambda_image.data.table_shape import TableShape
from lambda_image.handlers import log
from lambda_image.handlers.combining import COMBINED, CombinedTable, TableSource, write_tables
from lambda_image.in_order import in_order
from lambda_image.manifest import predictions_key
from lambda_image.ownership import RunObjects
from lambda_image.rank_table import NamedTable, named_table, open_table
from lambda_image.results import Record, table_facts

FOLDER = "predictions/"
READERS = 4  # tables that are on their way; up to eight of them are in memory
IN_MEMORY_BYTES = 16 << 20  # of a table; a larger one is read twice, once to see whether it is the right one
MADE_OF = "table"  # the key of the metadata with the digest of the table that was brought into another form


class DamagedTablesError(Exception):
    """Tells that tables are not what their records say."""

    def __init__(self, damaged: Mapping[int, str]) -> None:
        super().__init__(f"{len(damaged)} tables")
        self.damaged = damaged


class RankTableFacts(NamedTuple):
    """What a record says of its table."""

    rank: int
    bytes: int
    blake2b: str
    shape: TableShape


class RunTables:
    """Takes the records of all ranks in their order, and then sees to it that users find all predictions."""

    def __init__(self, objects: RunObjects) -> None:
        """Makes it without asking S3.

        Args:
            objects: the run's objects.
        """
        self._objects, self._path = objects, objects.result_path
        self._facts: list[RankTableFacts] = []
        self._combined = CombinedTable()

    def add(self, record: Record) -> None:
        """Takes the record of a rank, which describes its table."""
        facts = record["predictions"]
        shape = TableShape.from_json(facts)
        self._facts.append(RankTableFacts(record["rank"], facts["bytes"], facts["blake2b"], shape))
        self._combined.add(record)

    def publish(self, limit: int) -> str:
        """Puts the tables together, unless rank 0 has, or they are too many.

        Args:
            limit: how many galaxies one table may have.

        Returns:
            What all predictions are in, by its name under the result path.

        Raises:
            DamagedTablesError: tables are not what their records say. Nothing has been written.
            RunError: S3 did not answer, or another run has the result path.
        """
        key = f"{self._path}/{COMBINED}"
        found = self._objects.store.head(key)
        if found is not None and self._objects.is_ours(found) and self._combined.is_in(found):
            return COMBINED
        if self._combined.shape.rows <= limit:
            self._combined.write(self._objects, key, self._tables(), found)
            log("rebuilt", ranks=len(self._facts), galaxies=self._combined.shape.rows)
            return COMBINED
        self._make_alike()
        return FOLDER

    def _tables(self) -> Iterator[TableSource]:
        """The ranks' tables in their order. Once one is damaged, the others are only looked at."""
        damaged: dict[int, str] = {}
        for facts, table in zip(self._facts, in_order(self._read, self._facts, READERS), strict=True):
            if table is None:
                damaged[facts.rank] = f"{self._objects.store.url(self._key(facts))} is not what was written"
            elif not damaged:
                yield open_table(self._objects.store, self._named(facts), table)
        if damaged:
            raise DamagedTablesError(damaged)

    def _read(self, facts: RankTableFacts) -> NamedTable | None:
        return named_table(self._objects.store, self._named(facts), IN_MEMORY_BYTES)

    def _named(self, facts: RankTableFacts) -> dict[str, Any]:
        return table_facts(self._key(facts), facts.bytes, facts.blake2b, facts.shape)

    def _key(self, facts: RankTableFacts) -> str:
        return predictions_key(self._path, facts.rank)

    def _make_alike(self) -> None:
        """Sees to it that the folder opens as one table: all files in it have the same columns of the same types.

        A table that differs is written anew, as one without rows, whose rank could not know the columns of the user.
        Its metadata then name the one that it was made of.
        """
        there = {found.key: found for found in self._objects.store.list(f"{self._path}/{FOLDER}")}
        damaged: dict[int, str] = {}
        others: list[RankTableFacts] = []
        for facts in self._facts:
            key, found = self._key(facts), there.get(self._key(facts))
            if found is not None and found.size == facts.bytes:
                if facts.shape.names() != self._combined.shape.names():
                    others.append(facts)
            elif found is None or not self._is_made_of(facts):
                damaged[facts.rank] = f"{self._objects.store.url(key)} is not what was written"
        if damaged:
            raise DamagedTablesError(damaged)
        for facts, table in zip(others, in_order(self._read, others, READERS), strict=True):
            if table is not None:
                self._rewrite(facts, table)
            elif not self._is_made_of(facts):  # another Summarize may be at work, and have been quicker
                damaged[facts.rank] = f"{self._objects.store.url(self._key(facts))} is not what was written"
        if damaged:
            raise DamagedTablesError(damaged)

    def _is_made_of(self, facts: RankTableFacts) -> bool:
        head = self._objects.store.head(self._key(facts))
        return head is not None and self._objects.is_ours(head) and head.metadata.get(MADE_OF) == facts.blake2b

    def _rewrite(self, facts: RankTableFacts, table: NamedTable) -> None:
        with self._objects.begin(self._key(facts), metadata={MADE_OF: facts.blake2b}) as upload:
            source = open_table(self._objects.store, self._named(facts), table)
            write_tables(upload, self._combined.shape, [source])
            self._objects.put(upload.key, upload, within_run="replace")
