"""The gather of a run as its ranks take part in it. Whatever goes wrong in it, the ranks' objects on S3 have all.

A rank gives its part to the rank above it, which is the root or, in a tree, an inner rank (gather_tree.py). A rank that
gathers takes the parts of others while it works (taking.py). An inner rank then sends all that it has in one part.

A part is a rank's record and table. A table that is too large to travel stays on S3, and then the part is empty: it
says that the rank is done. The record lies beside the table, where Summarize reads both, so that no root spends billed
seconds on 10,000 records that another function reads again.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from lambda_image.bundle import Delivered, Parts, bundle
from lambda_image.errors import RunError
from lambda_image.gather_tree import STAR, GroupPlace, gather_place, place_of
from lambda_image.handlers.absent_ranks import POLL_S, AbsentRanks, given_up
from lambda_image.handlers.combining import COMBINED, CombinedTable
from lambda_image.handlers.taking import Taking
from lambda_image.manifest import Assignment
from lambda_image.ownership import JSON_TYPE, RunObjects
from lambda_image.rank_table import travelling_bytes
from lambda_image.results import SELF, STORAGE, Record, combined_data, combined_line, pack, unpack

if TYPE_CHECKING:
    from lambda_image.comm.communicator import Communicator

# Ranks join when they begin. A root that has not joined when another rank is done is late, or was lost before that
# one joined; whoever waits for it for long may even keep the worker busy that it needs.
ROOT_LATE_S = 10.0
UPWARD_S = 5.0  # for an inner rank whose time is over to tell the root who is missing


class GatherOutcome(NamedTuple):
    """How a rank's part travelled: by the communicator's transport or, with the reason, by way of storage."""

    transport: str
    reason: str | None = None
    waited_s: float = 0.0  # for other ranks


Join = Callable[[GroupPlace], "Communicator"]


class Gathering:
    """One rank's part in the gather, from its join on."""

    def __init__(
        self,
        join: Join,
        objects: RunObjects,
        assignment: Assignment,
        log: Callable[..., None],
        memory_mb: int,
        latest: float,
        poll_s: float = POLL_S,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Joins the rank's groups, and takes parts from then on where that is its task.

        Args:
            join: joins one group.
            objects: the run's objects.
            assignment: the rank's item of the manifest.
            log: is told of a gather that comes to nothing.
            memory_mb: of the function, of which the tables of all ranks take a part at most.
            latest: by when it ends in any case, in seconds of `clock`.
            poll_s: seconds between two looks for ranks that have given up.
            clock: gives seconds, and is time.monotonic() but in tests.
            sleep: waits so many seconds, and is time.sleep() but in tests.

        Raises:
            RuntimeError: there is no memory for a thread. It has left all groups then.
        """
        self._objects, self._assignment = objects, assignment
        self._log, self._poll_s, self._latest = log, poll_s, latest
        self._clock, self._sleep = clock, sleep
        self._limit = travelling_bytes(assignment, memory_mb)
        self._place = place_of(assignment)
        self._above: Communicator | None = None
        self._below: Communicator | None = None
        self._taking: Taking | None = None
        self._absences = 0  # looks in a row at which the rank above was lost
        try:
            self._join(join)
        except Exception:  # a member that nobody is behind would be waited for
            self.close()
            raise

    def _join(self, join: Join) -> None:
        up, down = self._place
        if up is not None:
            self._above = join(up)
        if down is not None:
            self._below = join(down)
            leaves = self._leaves if up is None and self._assignment.gather_width != STAR else None
            self._taking = Taking(self._below, down, self._latest, leaves)
            self._taking.begin()

    @property
    def communicator(self) -> "Communicator":
        """The one with the rank above; at the root, that with the ranks below."""
        communicator = self._above or self._below
        assert communicator is not None
        return communicator

    @property
    def connect_s(self) -> float | None:
        """Seconds from learning of the rank above until the channel to it was proven; None without one."""
        above = self._above.peers() if self._above is not None else ()
        return next((peer.connect_s for peer in above if peer.rank == 0), None)

    def gather(self, record: Record, table: bytes, deadline: float) -> GatherOutcome:
        """Gives this rank's part to the rank above it. The root waits for the others', and writes the combined result.

        Args:
            record: the rank's record.
            table: the table that it names, as a Parquet file; empty where that is too large to be in memory.
            deadline: by when it ends, in seconds of the clock. Who is above others in a tree has UPWARD_S more.

        Raises:
            RunError: the combined result could not be written.
        """
        began, rank = self._clock(), self._assignment.rank
        parts = Parts({rank: Delivered(SELF, pack(record, table) if self._travels(record, table) else b"")})
        try:
            outcome = self._collect(parts, deadline) if self._above is None else self._give(parts, deadline)
        except RunError as error:
            self._log("gather_failed", rank=rank, error=type(error).__name__, message=str(error))
            outcome = GatherOutcome(STORAGE, f"{type(error).__name__}: {error}")
        outcome = outcome._replace(waited_s=self._clock() - began)
        if self._above is None and outcome.reason is None:
            self._combine(parts)
        return outcome

    def _travels(self, record: Record, table: bytes) -> bool:
        """Whether a table is worth its way: the tables of all ranks fit, and one of so many galaxies would be made."""
        galaxies = record["predictions"].get("rows", 0) * self._assignment.world_size
        return 0 < len(table) <= self._limit and galaxies <= self._assignment.combine_limit

    def withdraw(self, error: Exception, deadline: float) -> None:
        """Tells the rank above that no part will come.

        Args:
            error: why this rank has failed for good.
            deadline: by when it ends, in seconds of the clock.

        Raises:
            RunError: it could not be told.
        """
        if self._above is not None:
            self._above.withdraw(error, 0, deadline=deadline)

    def close(self) -> None:
        """Leaves the groups, and takes no part any more."""
        if self._taking is not None:
            self._taking.stop()
        for communicator in (self._above, self._below):
            if communicator is not None:
                communicator.close()

    def _collect(self, parts: Parts, deadline: float) -> GatherOutcome:
        """At the root: adds all parts to its own."""
        if self._assignment.gather_width != STAR:
            deadline = min(deadline + UPWARD_S, self._latest)
        self._take(parts, deadline)
        if parts.missing:
            self._log("gather_incomplete", rank=self._assignment.rank, missing=parts.missing)
            first, world = next(iter(parts.missing.values())), self._assignment.world_size
            return GatherOutcome(STORAGE, f"{len(parts.missing)} of {world} parts did not come: {first}")
        return GatherOutcome(SELF)

    def _give(self, parts: Parts, deadline: float) -> GatherOutcome:
        """Gives the rank above what this one has, which in an inner rank is all that its leaves gave."""
        assert self._above is not None
        assert self._place.up is not None
        if self._taking is not None:
            if (reason := self._take(parts, deadline)) is not None:
                return self._without_gather(reason)
            deadline = min(deadline + UPWARD_S, self._latest)
        if (reason := self._root_missing(deadline)) is not None:
            return self._without_gather(reason)
        inner = self._assignment.gather_width != STAR and not self._place.up.suffix
        content = bundle(parts) if inner else parts.came[self._assignment.rank].content
        self._above.gather(content, root=0, deadline=deadline, allow_missing=True, await_retries=True)
        return GatherOutcome(next(peer.transport or STORAGE for peer in self._above.peers() if peer.rank == 0))

    def _without_gather(self, reason: str) -> GatherOutcome:
        self._log("gather_failed", rank=self._assignment.rank, error="NoGather", message=reason)
        return GatherOutcome(STORAGE, reason)

    def _take(self, parts: Parts, deadline: float) -> str | None:
        """Adds what the ranks below gave; the reason where it turns out to be of no use."""
        if self._taking is None or self._below is None or self._place.down is None:
            return None
        watch = AbsentRanks(self._below, self._place.down, self._objects, self._assignment, self._poll_s)
        taken, reason = self._taking.finish(deadline, watch, self._poll_s, self._above_lost)
        parts.came |= taken.came
        parts.missing |= taken.missing
        return reason

    def _above_lost(self) -> str | None:
        """Why an inner rank need not wait for its leaves: the root is lost, and nobody gathers in its place.

        Its connection to the rendezvous server may have broken for a moment only, so this takes two looks.
        """
        if (lost := self._loss_above()) is None:
            self._absences = 0
            return None
        self._absences, root = self._absences + 1, self._assignment.gather_root
        with suppress(RunError):  # S3 may answer the next time
            if (reason := given_up(self._objects, self._assignment, root)) is not None:
                return reason
        return f"rank {root} {lost}" if self._absences > 1 else None

    def _loss_above(self) -> str | None:
        """What has become of the rank above, if it is lost at present."""
        above = self._above.peers() if self._above is not None else ()
        return next((peer.lost for peer in above if peer.rank == 0), None)

    def _root_missing(self, deadline: float) -> str | None:
        """Why the rank above will not take this rank's part, if that is known.

        One that is lost at two looks has ended, since no later attempt of it gathers. A rank that is tried again when
        the gather is over meets such a one.
        """
        assert self._above is not None
        assert self._place.up is not None
        waited, root, absences = 0.0, self._place.up.members[0], 0
        limit = min(ROOT_LATE_S, max(0.0, deadline - self._clock()))
        while True:
            if (reason := given_up(self._objects, self._assignment, root)) is not None:
                return reason
            step = min(self._poll_s, limit - waited)
            lost = None
            if self._above.wait_for_peer(0, timeout_s=step) or self._above.failure is not None:
                if (lost := self._loss_above()) is None:
                    return None
                absences += 1
                if absences == 1:
                    self._sleep(step)
            waited += step
            if absences > 1 or waited >= limit or self._clock() >= deadline:
                late = f"had not joined {limit:.2g} s after this rank's work was done"
                return f"rank {root} {lost or late}"

    def _leaves(self, inner: int) -> Sequence[int]:
        """The ranks whose parts come by way of an inner rank."""
        a = self._assignment
        group = gather_place(inner, a.world_size, a.gather_width, a.gather_root).down
        return () if group is None else group.members[1:]

    def _combine(self, parts: Parts) -> None:
        """Writes the combined result; the list of records last, since it vouches for the table.

        All of it is left to Summarize where a table has not travelled, and so is a table that would be too large.
        """
        came = sorted(parts.came.items())
        if not all(len(part.content) for _, part in came):
            return
        path, combined, described = self._assignment.result_path, CombinedTable(), True
        lines: list[bytes | None] = []
        tables: list[memoryview] = []
        for _, part in came:
            record, table = unpack(part.content)
            tables.append(table)
            lines.append(combined_line({**record, "transport": part.transport}))
            try:
                combined.add(record)
            except ValueError:  # a rank of an earlier version, which does not describe its table
                described = False
        if described and combined.shape.rows <= self._assignment.combine_limit:
            combined.write(self._objects, f"{path}/{COMBINED}", map(bytes, tables))
        with self._objects.begin(f"{path}/combined_data.json", kind=JSON_TYPE) as upload:
            for piece in combined_data(lines):
                upload.write(piece)
            self._objects.put(upload.key, upload, within_run="replace")
