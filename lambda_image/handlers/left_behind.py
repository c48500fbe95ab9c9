"""What a rank has left: the result of its first complete attempt, or else the partitions that its attempts finished."""

import threading
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lambda_image import stretches
from lambda_image.data.predictions import Predictions
from lambda_image.data.table_file import reported
from lambda_image.data.table_shape import TableShape
from lambda_image.handlers.combining import TableSource, rows_of
from lambda_image.json_text import parse_json
from lambda_image.manifest import Assignment, predictions_key, result_key
from lambda_image.ownership import RunObjects
from lambda_image.partition_tables import HELD_BYTES, PartitionTables
from lambda_image.rank_table import READ_BYTES, NamedTable, RankTable, named_table, open_table
from lambda_image.request_times import RequestTimes
from lambda_image.results import (
    SELF,
    STORAGE,
    Phases,
    Record,
    Usage,
    Work,
    belongs,
    is_complete,
    rank_record,
    table_facts,
)
from lambda_image.statistics import Statistics
from lambda_image.storage import ObjectInfo, ObjectStore
from lambda_image.summary import Failure

TABLES_AT_ONCE = 4
LATER = ("phases", "adopted_by", "statistics")  # what a rank's own record says and the gathered one cannot know


@dataclass(frozen=True)
class LeftBehind:
    """What one rank has left.

    Attributes:
        item: Its item of the manifest, with its share.
        record: Its record, which describes its table; None where it has left nothing.
        statistics: Those of its record.
        failure: Why it has left nothing, or not all.
        finished: Of a rank that has not left all, the keys of the partitions that are in its table.
    """

    item: Assignment
    record: Record | None
    statistics: Statistics = field(default_factory=Statistics)
    failure: Failure | None = None
    finished: Collection[str] = ()


class _OvertakenError(Exception):
    """Says that an attempt was complete before what had been finished until then was put together."""


class Collector:
    """Finds out what ranks have left. Several threads may ask at the same time."""

    def __init__(
        self,
        objects: RunObjects,
        gathered: Mapping[int, bytes] | None,
        damaged: Mapping[int, str],
        all_came: bool = False,
        held_bytes: int = HELD_BYTES,
    ) -> None:
        """Makes it without asking S3.

        Args:
            objects: the run's objects.
            gathered: the records that rank 0 has gathered, as JSON; None where it has gathered none.
            damaged: ranks whose tables are not what their records say, and what is wrong.
            all_came: whether every part has reached rank 0, be it empty, so that each rank knows its own transport.
            held_bytes: how much of the ranks' tables is in memory as a whole.
        """
        self._objects, self._gathered, self._damaged, self._all_came = objects, gathered, damaged, all_came
        self._held_bytes = held_bytes // TABLES_AT_ONCE
        self._few = threading.Semaphore(TABLES_AT_ONCE)

    def collect(self, item: Assignment) -> LeftBehind:
        """Finds out what a rank has left."""
        own, results = own_record(self._objects.store, item), self._objects.store
        reason = self._damaged.get(item.rank)
        record = self._complete(item, own) if reason is None else None
        if record is None and reason is None and isinstance(own, dict):
            record = {**own, "transport": STORAGE} if isinstance(own.get("predictions"), dict) else None
        if record is not None:
            try:
                return self._described(item, record)
            except ValueError as error:
                reason = str(error)
        if reason is None:
            name = results.url(result_key(item.result_path, item.rank))
            reason = f"{name} {own}" if isinstance(own, str) else own.get("error") or f"{name} was not written"
        try:
            with self._few:  # a rank's finished partitions are in memory here
                unfinished = self._unfinished(item, own if isinstance(own, dict) else {}, reason)
        except _OvertakenError:
            return self.collect(item)
        return unfinished or LeftBehind(item, None, failure=Failure(item.rank, "PartMissing", reason))

    def _complete(self, item: Assignment, own: Record | str) -> Record | None:
        """The record of a rank that is complete, with the transport by which its part has come.

        A gathered record gets what the rank's own says of the time after the gather. It counts alone where the rank
        died while it wrote its own. It does not count where it is another attempt's than the one that counts.
        """
        gathered = self._gathered_record(item)
        if not isinstance(own, dict) or not is_complete(own):
            return gathered
        if gathered is not None and gathered["predictions"] == own["predictions"]:
            return {**gathered, **{name: own[name] for name in own if name in LATER or name.startswith("s3")}}
        left_out = self._gathered is not None and own["samples"] == 0  # rank 0 leaves out who had nothing
        if left_out or (gathered is None and self._all_came):
            return own
        return {**own, "transport": STORAGE}

    def _gathered_record(self, item: Assignment) -> Record | None:
        line = (self._gathered or {}).get(item.rank)
        if line is None:
            return None
        record = parse_json(line)
        return record if belongs(record, item) and is_complete(record) else None

    def _described(self, item: Assignment, record: Record) -> LeftBehind:
        """Reads the table only where the record does not say enough, or where the table is not where users look.

        Raises:
            ValueError: the table is not what the record says.
        """
        facts, error = record["predictions"], record["error"]
        finished: tuple[str, ...] = ()
        statistics = described_statistics(record)
        if statistics is None or error is not None or facts["key"] != predictions_key(item.result_path, item.rank):
            with self._few:
                table = self._table(facts)
                self._publish(item, facts, table)
                found, shape, finished = _looked_through(open_table(self._objects.store, facts, table))
            if statistics is None:
                statistics = found
                named = table_facts(facts["key"], facts["bytes"], facts["blake2b"], shape)
                record = {**record, "statistics": statistics.to_json(), "predictions": named}
        return LeftBehind(item, record, statistics, error and Failure(item.rank, "PartIncomplete", error), finished)

    def _table(self, facts: Mapping[str, Any]) -> NamedTable:
        """Reads a rank's table. Raises ValueError where it is another one, or is not there."""
        if (table := named_table(self._objects.store, facts, self._held_bytes)) is None:
            raise ValueError(f"{self._objects.store.url(facts['key'])} is not what was written")
        return table

    def _publish(self, item: Assignment, facts: Mapping[str, Any], table: NamedTable) -> None:
        """Copies a rank's table to where users look for it, if the attempt that counts found that place taken."""
        key = predictions_key(item.result_path, item.rank)
        if facts["key"] == key:
            return
        with self._objects.begin(key) as upload:
            with self._objects.store.open(facts["key"], table.etag) as reader:
                while piece := reader.read(READ_BYTES):
                    upload.write(piece)
            self._objects.put(key, upload, within_run="replace")

    def _unfinished(self, item: Assignment, record: Record, reason: str) -> LeftBehind | None:
        """What the attempts of a rank have finished that left no complete result, if it is anything."""
        kept = PartitionTables(self._objects, self._held_bytes)
        facts = stretches.read_into(kept, item)
        if not len(kept):
            return None
        work, key = Work(), predictions_key(item.result_path, item.rank)
        for part in kept.parts():
            work.merge(part.work)
        with self._objects.begin(key) as upload:
            table = RankTable.written(kept.tables(), TableShape.joined(kept.shapes()), upload, most=0)
            if self._objects.put(key, upload, within_run="keep") is None:
                if not is_complete(record) and is_complete(own_record(self._objects.store, item)):
                    raise _OvertakenError
                self._objects.put(key, upload, within_run="replace")
        total = len(item.partitions)
        missing = f"{len(kept)} of {total} partitions are finished: {reason}"
        error = missing if len(kept) < total else None
        left = rank_record(
            item,
            facts["attempt"],
            work,
            Phases(**facts["phases"]),
            Usage(**facts["usage"], s3_times=RequestTimes()),
            table.facts(key),
            STORAGE,
            statistics=table.statistics.to_json(),
            error=error,
            gather_error=record.get("gather_error"),
        )
        finished = tuple(item.partitions[place].key for place in kept)
        failure = Failure(item.rank, "PartIncomplete", error) if error else None
        return LeftBehind(item, left, table.statistics, failure, finished)


def _looked_through(source: TableSource) -> tuple[Statistics, TableShape, tuple[str, ...]]:
    """The statistics, the shape and the partitions of a table, of which a few rows at a time are read.

    Raises:
        ValueError: it is no table of predictions.
    """
    statistics, sources = Statistics(), dict[str, None]()
    shapes = [Predictions.concatenate([]).shape()]
    for batch in rows_of(source):
        with reported():
            table = Predictions.from_batch(batch)
        statistics.add(table)
        shapes.append(table.shape())
        sources.update(dict.fromkeys(table.source.tolist()))
    return statistics, TableShape.joined(shapes), tuple(sources)


def own_record(results: ObjectStore, item: Assignment, rank: int | None = None) -> Record | str:
    """Reads what a rank itself wrote in this run.

    Args:
        results: the bucket of the results.
        item: the item of the manifest of any rank of the run.
        rank: the rank; None for that of the item.

    Returns:
        Its record, be it a claim only, or why there is none.
    """
    found = results.find(result_key(item.result_path, item.rank if rank is None else rank))
    try:
        record = parse_json(found) if found is not None else None
    except ValueError:
        return "is not JSON"
    return record if isinstance(record, dict) and belongs(record, item, rank) else "was not written"


def all_parts_came(results: ObjectStore, item: Assignment) -> bool:
    """Tells whether every part has reached the rank that gathers, which its own record says.

    Args:
        results: the bucket of the results.
        item: the item of the manifest of any rank of the run, with its share.
    """
    root = own_record(results, item, item.gather_root)
    return is_complete(root) and isinstance(root, dict) and root["transport"] == SELF


def described_statistics(record: Record) -> Statistics | None:
    """Reads the statistics of a record that describes its table, too, as all do that this version wrote."""
    try:
        TableShape.from_json(record["predictions"])
        return Statistics.from_json(record["statistics"])
    except (ValueError, LookupError, TypeError):
        return None


def gathered_records(results: ObjectStore, key: str) -> tuple[ObjectInfo | None, dict[int, bytes] | None]:
    """Reads the records that rank 0 has gathered.

    Args:
        results: the bucket of the results.
        key: of `combined_data.json`.

    Returns:
        The object, and the records by rank, as JSON. These are None where they are not what rank 0 writes.
    """
    found = results.look(key)
    if found is None:
        return None, None
    there = ObjectInfo(key, len(found.data), found.etag, found.metadata)
    try:
        return there, _by_rank(found.data.splitlines())
    except (ValueError, LookupError, TypeError):
        return there, None


def _by_rank(lines: Iterable[bytes]) -> dict[int, bytes]:
    by_rank = {}
    first, *others = lines
    if first == b"[]" and not others:
        return {}
    if first != b"[" or others.pop() != b"]":
        raise ValueError("it has no line for each record")
    for line in others:
        text = line.removesuffix(b",")
        rank = parse_json(text)["rank"]
        if rank in by_rank:
            raise ValueError(f"it has two records of rank {rank}")
        by_rank[rank] = text
    return by_rank
