"""The gather of a run as its ranks take part in it. Whatever goes wrong in it, the ranks' objects on S3 have all.

Nobody waits for what cannot come any more. A rank that has given up the gather says so in its `<rank>.json`, as
`gather_error`. Rank 0 looks there for ranks without a channel while it waits, and the others look there for rank 0.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from lambda_image.errors import RunError
from lambda_image.handlers.combining import COMBINED, CombinedTable
from lambda_image.json_text import parse_json
from lambda_image.manifest import ROOT, Assignment, result_key
from lambda_image.ownership import JSON_TYPE, RunObjects
from lambda_image.results import SELF, STORAGE, Record, belongs, combined_data, combined_line, pack, unpack

if TYPE_CHECKING:
    from lambda_image.comm.communicator import Communicator

# Ranks join when they begin. A root that has not joined when another rank is done is late, or was lost before that
# one joined; whoever waits for it for long may even keep the worker busy that it needs.
ROOT_LATE_S = 10.0
TABLES_SHARE = 4  # of the memory of rank 0, which the engine and the encoder use as well
POLL_S = 1.0  # between two looks for ranks that have given up; a listing costs as much as 0.1 s of the wait


class GatherOutcome(NamedTuple):
    """How a rank's part travelled: by the communicator's transport or, with the reason, by way of storage."""

    transport: str
    reason: str | None = None


class Gathering:
    """One rank's part in the gather."""

    def __init__(
        self,
        communicator: "Communicator",
        objects: RunObjects,
        assignment: Assignment,
        log: Callable[..., None],
        memory_mb: int,
        poll_s: float = POLL_S,
    ) -> None:
        """Makes it; `gather` does the rest.

        Args:
            communicator: the rank's.
            objects: the run's objects.
            assignment: the rank's item of the manifest.
            log: is told of a gather that comes to nothing.
            memory_mb: of the function, of which the tables of all ranks take a part at most.
            poll_s: seconds between two looks for ranks that have given up.
        """
        self._communicator, self._objects, self._assignment = communicator, objects, assignment
        self._log, self._poll_s = log, poll_s
        self._limit = min(assignment.gather_limit, (memory_mb << 20) // TABLES_SHARE) // assignment.world_size

    def gather(self, record: Record, table: bytes, deadline: float) -> GatherOutcome:
        """Offers this rank's part to rank 0; at rank 0, waits for the others' and writes the combined result.

        Args:
            record: the rank's record.
            table: the table that it names, as a Parquet file.
            deadline: by when it ends, in seconds of time.monotonic().

        Raises:
            RunError: the combined result could not be written.
        """
        rank = self._assignment.rank
        if rank != ROOT and (reason := self._root_missing()) is not None:
            self._log("gather_failed", rank=rank, error="NoGather", message=reason)
            return GatherOutcome(STORAGE, reason)
        watch = AbsentRanks(self._communicator, self._objects, self._assignment, self._poll_s)
        try:
            with watch if rank == ROOT else nullcontext():
                gathered = self._communicator.gather(
                    pack(record, table if len(table) <= self._limit else None),
                    root=ROOT,
                    deadline=deadline,
                    allow_missing=True,
                    await_retries=True,
                )
        except RunError as error:
            self._log("gather_failed", rank=rank, error=type(error).__name__, message=str(error))
            return GatherOutcome(STORAGE, f"{type(error).__name__}: {error}")
        if gathered is None:  # not the root: what was sent has been received
            return GatherOutcome(_transports(self._communicator)[ROOT])
        if gathered.missing:
            missing = {peer: str(error) for peer, error in gathered.missing.items()}
            self._log("gather_incomplete", rank=rank, missing=missing)
            first = next(iter(missing.values()))
            return GatherOutcome(
                STORAGE, f"{len(missing)} of {self._assignment.world_size} parts did not come: {first}"
            )
        self._combine([cast(bytearray, part) for part in gathered.parts])
        return GatherOutcome(SELF)

    def _root_missing(self) -> str | None:
        """Why rank 0 will not take this rank's part, if that is known."""
        waited = 0.0
        while True:
            if (reason := given_up(self._objects, self._assignment, ROOT)) is not None:
                return reason
            communicator = self._communicator
            if communicator.wait_for_peer(ROOT, timeout_s=self._poll_s) or communicator.failure is not None:
                return None
            waited += self._poll_s
            if waited >= ROOT_LATE_S:
                return f"rank 0 had not joined {ROOT_LATE_S:g} s after this rank's work was done"

    def _combine(self, parts: list[bytearray]) -> None:
        """Writes the combined result; the list of records last, since it vouches for the table.

        Tables that were too large to travel are left to Summarize, and so is a table that would be too large.
        """
        path, combined, travelled = self._assignment.result_path, CombinedTable(), True
        for part in parts:
            record, table = unpack(part)
            try:
                combined.add(record)
                travelled = travelled and table is not None
            except ValueError:  # a rank of an earlier version, which does not describe its table
                travelled = False
        if travelled and combined.shape.rows <= self._assignment.combine_limit:
            combined.write(self._objects, f"{path}/{COMBINED}", (unpack(part)[1] or b"" for part in parts))
        with self._objects.begin(f"{path}/combined_data.json", kind=JSON_TYPE) as upload:
            for piece in combined_data(self._lines(parts)):
                upload.write(piece)
            self._objects.put(upload.key, upload, within_run="replace")

    def _lines(self, parts: list[bytearray]) -> Iterator[bytes | None]:
        """The records of all ranks with their transports, one after another."""
        transports = {**_transports(self._communicator), self._assignment.rank: SELF}
        for rank, part in enumerate(parts):
            yield combined_line({**unpack(part)[0], "transport": transports[rank]})


class AbsentRanks:
    """While rank 0 gathers, excuses the ranks that are not connected and have given up; a context manager."""

    def __init__(
        self, communicator: "Communicator", objects: RunObjects, assignment: Assignment, poll_s: float = POLL_S
    ) -> None:
        """Makes it; the thread begins with the block.

        Args:
            communicator: rank 0's.
            objects: the run's objects.
            assignment: rank 0's item of the manifest.
            poll_s: seconds until the first look, and between two.
        """
        self._communicator, self._objects, self._assignment = communicator, objects, assignment
        self._poll_s = poll_s
        self._etags: dict[str, str] = {}  # of objects that have been read
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="absent ranks", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()  # a request that is under way ends by itself

    def look(self) -> None:
        """Excuses whoever has given up by now.

        Raises:
            RunError: S3 did not answer, or denied access.
        """
        connected = {peer.rank for peer in self._communicator.peers() if peer.transport and peer.lost is None}
        path, world = self._assignment.result_path, self._assignment.world_size
        absent = {result_key(path, rank): rank for rank in range(world) if rank != ROOT and rank not in connected}
        if not absent:
            return
        for found in self._objects.store.list_folder(f"{path}/"):
            rank = absent.get(found.key)
            if rank is not None and self._etags.get(found.key) != found.etag:
                self._etags[found.key] = found.etag
                if (reason := given_up(self._objects, self._assignment, rank)) is not None:
                    self._communicator.excuse(rank, f"takes no part in the gather: {reason}")

    def _work(self) -> None:
        while not self._ended.wait(self._poll_s):
            try:
                self.look()
            except RunError:  # S3 may answer the next time; until then it is as if nobody had looked
                continue


def given_up(objects: RunObjects, assignment: Assignment, rank: int) -> str | None:
    """Reads why a rank takes no part in the gather any more.

    Args:
        objects: the run's objects.
        assignment: any rank's item of the manifest.
        rank: the rank that is asked about.

    Returns:
        The reason that it gives, or None where it gives none.
    """
    found = objects.store.find(result_key(assignment.result_path, rank))
    try:
        record: Any = parse_json(found) if found is not None else None
    except ValueError:
        return None
    reason = record.get("gather_error") if belongs(record, assignment, rank) else None
    return None if reason is None else str(reason)


def _transports(communicator: "Communicator") -> dict[int, str]:
    return {peer.rank: peer.transport for peer in communicator.peers() if peer.transport is not None}
