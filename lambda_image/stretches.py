"""What a rank has finished, kept on S3 while it works on: `attempts/<rank>/<attempt>/<n>.parquet`.

A stretch is a table of predictions, as `predictions/<rank>.parquet` is. Its file metadata tell which partitions of the
assignment it holds and what the work on each of them was. The next attempt takes finished partitions from there, and
Summarize does so for a rank that no attempt completed. Each partition is taken from one stretch, whatever others hold.

A partition that has been finished for SAVE_AFTER_S is written in the background while the rank works on. What is
quicker than that is quicker done again. The last partition of a rank is in no stretch, as the rank's own table follows.
"""

import json
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from lambda_image.data.predictions import Predictions
from lambda_image.data.table_file import read_metadata
from lambda_image.errors import RunError, RunSuperseded
from lambda_image.json_text import parse_json
from lambda_image.manifest import Assignment, attempts_prefix, stretch_key
from lambda_image.ownership import RunObjects
from lambda_image.results import Work
from lambda_image.storage import ObjectStore

SAVE_AFTER_S = 1.0  # what is lost at most, beside the partition at hand; one PUT costs as much as a tenth of it
READERS = 8
METADATA = "cosmicai"  # the key in the file metadata


@dataclass(frozen=True)
class Finished:
    """The predictions of one partition of a rank, and the work that they took."""

    table: Predictions
    work: Work


@dataclass(frozen=True)
class Kept:
    """What the attempts of a rank have left: the finished partitions by their place in the assignment."""

    finished: Mapping[int, Finished]
    facts: Mapping[str, Any]  # what the newest attempt among them says of itself


def encode(finished: Mapping[int, Finished], execution: str, facts: Mapping[str, Any]) -> bytes:
    """Makes the content of a stretch.

    Args:
        finished: partitions by their place in the assignment.
        execution: the run, since an earlier one may have left stretches in the same place.
        facts: what the attempt says of itself.

    Returns:
        A Parquet file.
    """
    parts = [
        {"partition": place, "rows": len(part.table), "work": part.work.to_json()} for place, part in finished.items()
    ]
    told = {"execution": execution, "parts": parts, "facts": dict(facts)}
    return Predictions.concatenate([part.table for part in finished.values()]).to_parquet({METADATA: json.dumps(told)})


def decode(data: bytes, execution: str) -> Kept | None:
    """Reads a stretch.

    Returns:
        What it holds, or None where it is another run's, or is none.
    """
    try:
        told = parse_json(read_metadata(data)[METADATA])
        if told["execution"] != execution:
            return None
        table, finished, start = Predictions.from_parquet(data), {}, 0
        rows = np.arange(len(table))
        for part in told["parts"]:
            stop = start + part["rows"]
            finished[int(part["partition"])] = Finished(
                table.where((rows >= start) & (rows < stop)), Work.from_json(part["work"])
            )
            start = stop
    except (ValueError, LookupError, TypeError):
        return None
    return Kept(finished, told["facts"])


def read(store: ObjectStore, assignment: Assignment) -> Kept:
    """Reads what all attempts of a rank have finished.

    Raises:
        RunError: S3 did not answer, or denied access.
    """
    prefix = attempts_prefix(assignment.result_path, assignment.rank)
    keys = sorted(found.key for found in store.list(prefix))
    with ThreadPoolExecutor(READERS) as readers:
        contents = list(readers.map(store.find, keys))
    kept = [stretch for data in contents if data and (stretch := decode(data, assignment.execution)) is not None]
    finished: dict[int, Finished] = {}
    for stretch in kept:
        for place, part in stretch.finished.items():
            if place < len(assignment.partitions):
                finished.setdefault(place, part)
    facts = max((stretch.facts for stretch in kept), key=lambda facts: int(facts["attempt"]), default={})
    return Kept(dict(sorted(finished.items())), facts)


class StretchWriter:
    """Writes finished partitions in a thread of its own, which begins when there is something to write."""

    def __init__(
        self,
        objects: RunObjects,
        assignment: Assignment,
        attempt: Callable[[], int],
        facts: Callable[[], Mapping[str, Any]],
        log: Callable[..., None],
    ) -> None:
        """Makes it without asking S3.

        Args:
            objects: the run's objects.
            assignment: the rank's item of the manifest.
            attempt: waits until the attempt has its number, and gives it.
            facts: what the attempt says of itself at the moment.
            log: is told of a stretch that could not be written.
        """
        self._objects, self._assignment = objects, assignment
        self._attempt, self._facts, self._log = attempt, facts, log
        self._waiting: dict[int, Finished] = {}
        self._number = 0
        self._news = threading.Condition()
        self._writing = threading.RLock()
        self._ended = False
        self._thread: threading.Thread | None = None
        self.error: RunSuperseded | None = None  # after which nothing more may be written

    def add(self, place: int, part: Finished) -> None:
        """Takes a finished partition, after which the rank works on."""
        with self._news:
            self._waiting[place] = part
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="stretches", daemon=True)
            self._thread.start()

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
            if not waiting:
                return
            try:
                self.put(waiting)
            except RunError:
                with self._news:
                    self._waiting = {**waiting, **self._waiting}
                raise

    def put(self, finished: Mapping[int, Finished]) -> tuple[str, bytes]:
        """Writes one stretch.

        Args:
            finished: its partitions by their place in the assignment.

        Returns:
            Its key and content.

        Raises:
            RunError: it could not be written.
        """
        a = self._assignment
        with self._writing:
            key = stretch_key(a.result_path, a.rank, self._attempt(), self._number)
            data = encode(finished, a.execution, self._facts())
            self._objects.put(key, data, within_run="replace")
            self._number += 1
        return key, data

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
