"""What a rank has finished, kept on S3 while it works on: `attempts/<rank>/<attempt>/<n>.parquet`.

A stretch is a table of predictions, as `predictions/<rank>.parquet` is (stretch_file.py). The next attempt takes
finished partitions from there, and Summarize does so for a rank that no attempt completed. Each partition is taken from
one stretch, whatever others hold.

A partition that has been finished for SAVE_AFTER_S is written in the background while the rank works on. What is
quicker than that is quicker done again. Where more than WAITING_BYTES wait, the rank itself waits until they are
written, so that they cannot fill its memory. The last partition of a rank is in no stretch, as the rank's own table
follows.
"""

import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from lambda_image.errors import RunError, RunSuperseded
from lambda_image.in_order import in_order
from lambda_image.manifest import Assignment, attempts_prefix, stretch_key
from lambda_image.ownership import RunObjects
from lambda_image.partition_tables import PartitionTables, StretchVersion
from lambda_image.stretch_file import Finished, PartFacts, decode, encode, metadata_of

SAVE_AFTER_S = 1.0  # what is lost at most, beside the partition at hand; one PUT costs as much as a tenth of it
WAITING_BYTES = 16 << 20  # of tables: at 500 galaxies/s no rank has as many within SAVE_AFTER_S
READERS = 8
READ_AHEAD_BYTES = 64 << 20


def read_into(tables: PartitionTables, assignment: Assignment) -> Mapping[str, Any]:
    """Reads what all attempts of a rank have finished.

    Args:
        tables: take it.
        assignment: the rank's item of the manifest.

    Returns:
        What the newest attempt among them says of itself. It is empty where there is none.

    Raises:
        RunError: S3 did not answer, or denied access.
    """
    store, facts = tables.objects.store, dict[str, Any]()
    found = sorted(store.list(attempts_prefix(assignment.result_path, assignment.rank)))
    largest = max((stretch.size for stretch in found), default=0)
    readers = max(1, min(READERS, READ_AHEAD_BYTES // (2 * largest + 1)))
    for key, version in zip(found, in_order(lambda one: store.look(one.key), found, readers), strict=True):
        kept = decode(version.data, assignment.execution) if version is not None else None
        if version is None or kept is None:
            continue
        if not facts or int(kept.facts["attempt"]) > int(facts["attempt"]):
            facts = dict(kept.facts)
        new = {place: part for place, part in kept.finished.items() if place not in tables}
        new = {place: part for place, part in new.items() if place < len(assignment.partitions)}
        for place, part in new.items():
            tables.add(place, part)
        tables.written(StretchVersion(key.key, version.etag), new)
    return facts


class StretchWriter:
    """Writes finished partitions in a thread of its own, which begins when there is something to write."""

    def __init__(
        self,
        objects: RunObjects,
        assignment: Assignment,
        attempt: Callable[[], int],
        facts: Callable[[], Mapping[str, Any]],
        log: Callable[..., None],
        written: Callable[[StretchVersion, Collection[int]], None] = lambda stretch, places: None,
    ) -> None:
        """Makes it without asking S3.

        Args:
            objects: the run's objects.
            assignment: the rank's item of the manifest.
            attempt: waits until the attempt has its number, and gives it.
            facts: what the attempt says of itself at the moment.
            log: is told of a stretch that could not be written.
            written: is told of one that has been, and of the places of its partitions.
        """
        self._objects, self._assignment = objects, assignment
        self._attempt, self._facts, self._log, self._written = attempt, facts, log, written
        self._waiting: dict[int, Finished] = {}
        self._waiting_bytes = 0
        self._number = 0
        self._news = threading.Condition()
        self._writing = threading.RLock()
        self._ended = False
        self._thread: threading.Thread | None = None
        self.error: RunSuperseded | None = None  # after which nothing more may be written

    def add(self, place: int, part: Finished) -> None:
        """Takes a finished partition, after which the rank works on.

        Raises:
            RunError: too many partitions wait, and could not be written.
        """
        with self._news:
            self._waiting[place] = part
            self._waiting_bytes += part.table.nbytes
            too_many = self._waiting_bytes > WAITING_BYTES
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="stretches", daemon=True)
            self._thread.start()
        if too_many:
            self.flush()

    def end(self) -> None:
        """Writes nothing more than what it is writing."""
        with self._news:
            self._ended = True
            self._news.notify()

    def flush(self) -> None:
        """Writes all that waits.

        Raises:
            RunError: it could not be written.
        """
        with self._writing:
            with self._news:
                waiting, self._waiting = self._waiting, {}
                size, self._waiting_bytes = self._waiting_bytes, 0
            if not waiting:
                return
            try:
                self.put(waiting)
            except RunError:
                with self._news:
                    self._waiting = {**waiting, **self._waiting}
                    self._waiting_bytes += size
                raise

    def put(self, finished: Mapping[int, Finished]) -> None:
        """Writes one stretch.

        Args:
            finished: its partitions by their place in the assignment.

        Raises:
            RunError: it could not be written.
        """
        with self._writing:
            data = encode(finished, self._assignment.execution, self._facts())
            key = self._next_key()
            etag = self._objects.put(key, data, within_run="replace")
            assert etag is not None
            self._written(StretchVersion(key, etag), finished.keys())

    def next_name(self, parts: Iterable[PartFacts]) -> tuple[str, dict[str, str]]:
        """Names a stretch that the caller writes.

        Args:
            parts: its partitions, in the order of their rows.

        Returns:
            Its key, and its file metadata.
        """
        with self._writing:
            return self._next_key(), metadata_of(parts, self._assignment.execution, self._facts())

    def _next_key(self) -> str:
        """A key that nothing else has. What was refused may be there all the same, if its answer was lost."""
        a, number = self._assignment, self._number
        self._number += 1
        return stretch_key(a.result_path, a.rank, self._attempt(), number)

    def _work(self) -> None:
        while True:
            with self._news:
                if self._news.wait_for(lambda: self._ended, SAVE_AFTER_S):
                    return
            try:
                self.flush()
            except RunSuperseded as error:
                self.error = error
                return
            except Exception as error:  # it waits for the next time; the rank itself ends by what it needs
                self._log("stretch_failed", rank=self._assignment.rank, error=type(error).__name__, message=str(error))
                time.sleep(SAVE_AFTER_S)
