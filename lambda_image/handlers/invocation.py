"""The work of one invocation of a rank. It infers partitions, puts predictions on S3, and offers them to the gather.

The order of these steps keeps every prediction, whatever happens to the sockets. A gather that fails makes the run
slower, since Summarize then reads the ranks' own objects, and never wrong.

An invocation is an attempt of its rank, whose number it claims when it begins (register.py). Partitions that it has
finished are kept while it works on the next ones (stretches.py), and later attempts go on from there. Two attempts may
be at work at once, since Lambda delivers at least once and Step Functions gives up waiting. The first that is complete
counts, and the other one takes over its result.
"""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from lambda_image import process
from lambda_image.data.table_shape import TableShape
from lambda_image.errors import RunSuperseded, StorageUnavailable
from lambda_image.gather_tree import GroupPlace, place_of
from lambda_image.handlers import log
from lambda_image.handlers.describing import write_distributions
from lambda_image.handlers.gathering import Gathering
from lambda_image.handlers.inferring import Inferring
from lambda_image.inference import no_predictions
from lambda_image.manifest import STAR, Assignment, predictions_key, quantiles_key, result_key
from lambda_image.model.engine import Engine
from lambda_image.ownership import RunObjects
from lambda_image.partition_tables import HELD_BYTES, PartitionTables
from lambda_image.rank_table import RankTable, named_table, travelling_bytes
from lambda_image.register import Claim, RankRegister
from lambda_image.results import STORAGE, Phases, Record, Usage, rank_record
from lambda_image.settings import HandlerSettings
from lambda_image.shares import complete
from lambda_image.storage import ObjectStore, Requests
from lambda_image.stretches import StretchWriter
from lambda_image.weights import WeightsCache

if TYPE_CHECKING:
    from lambda_image.comm.communicator import Communicator

JOIN_TIMEOUT_S = 10.0  # for the rendezvous server to let this rank in, in the background of the first download
WITHDRAWAL_S = 5.0  # for the root to hear that a rank failed for good; it may be connecting at that moment
DUPLICATE = "the invocation was delivered twice, and this delivery takes no part in the gather"


def _open_store(bucket: str, requests: Requests) -> ObjectStore:
    return ObjectStore(bucket, requests=requests)


def _join(endpoint: str, max_segment: int | None, **identity: Any) -> "Communicator":
    """A star, as everything that a group gathers goes to one rank. What connects takes a third of a rank's imports."""
    from lambda_image.comm.channel.channel import ChannelSettings
    from lambda_image.comm.communicator import Communicator
    from rendezvous_server.protocol import Topology

    settings = ChannelSettings(max_segment=max_segment)
    return Communicator.join(endpoint, topology=Topology.STAR, settings=settings, **identity)


@dataclass(frozen=True)
class Collaborators:
    """What a rank uses of the world outside; a test passes its own."""

    open_store: Callable[[str, Requests], ObjectStore] = _open_store
    join: Callable[..., "Communicator"] = _join
    clock: Callable[[], float] = time.monotonic  # seconds
    log: Callable[..., None] = log


@dataclass(frozen=True)
class Environment:
    """What the invocations of one execution environment share."""

    settings: HandlerSettings
    engine: Engine
    weights: WeightsCache  # of runs that bring their own
    collaborators: Collaborators
    engine_damage: str | None = None  # why another engine than the compiled one predicts, where that is damaged
    held_bytes: int = HELD_BYTES  # of the finished tables of a rank


class RankInvocation:
    """What one invocation knows and does. Inference and gather end by `deadline`, seconds of the clock."""

    def __init__(
        self, environment: Environment, assignment: Assignment, tries: int, deadline: float, cold_start: Phases
    ) -> None:
        self.tries, self.deadline = tries, deadline
        self.settings, self.engine = environment.settings, environment.engine
        self.engine_damage = environment.engine_damage
        self.weights, self.weights_name = environment.weights, ""
        outside = environment.collaborators
        self.open_store = outside.open_store
        self.join, self.clock, self.log = outside.join, outside.clock, outside.log
        self.phases = replace(cold_start)
        self.requests = Requests()
        results = outside.open_store(assignment.bucket, self.requests)
        self.assignment = assignment = complete(assignment, results)
        data = outside.open_store(assignment.data_bucket, self.requests)
        self.objects = RunObjects(results, assignment.execution, assignment.result_path)
        self.travelling_bytes = travelling_bytes(assignment, self.settings.memory_mb)
        self.register = RankRegister(self.objects, assignment)
        self.begun: Future[Claim] = Future()
        self.finished = PartitionTables(self.objects, environment.held_bytes)
        self.stretches = StretchWriter(
            self.objects, assignment, lambda: self._claim().attempt, self._facts, self.log, self.finished.written
        )
        self.inferring = Inferring(assignment, data, self.finished, deadline, self.clock, self._phase)
        self.gathering: Gathering | None = None
        self.statistics: dict[str, Any] | None = None  # of its table, once that is there
        self.distributions: dict[str, Any] | None = None  # what the record says of them, once they are on S3
        self.gathers = place_of(assignment).down is not None  # the parts of others
        self.started = self.clock()

    def perform(self) -> None:
        self._phase("start", tries=self.tries, run_id=self.assignment.run_id)
        try:
            try:
                self._begin_beside()
                record, table = self._result()
            except Exception as error:
                self._keep_what_is_done(error)
                raise
            if self.gathering is not None:
                record = self._gather(self.gathering, record, table)
        finally:
            self.stretches.end()
            self.begun.add_done_callback(lambda _: self._leave())
        self._phase("done", transport=record["transport"], samples=record["samples"])

    def _begin_beside(self) -> None:
        """In the background of the first download and the first batch: a rank need not know its number to infer."""
        try:
            threading.Thread(target=self._begin, name="begin", daemon=True).start()
        except RuntimeError:  # no memory for a thread: without a claim nobody would hear of this rank
            try:
                self.begun.set_result(self.register.claim(self.tries))
            except Exception as error:
                self.begun.set_exception(error)
            raise

    def _begin(self) -> None:
        try:
            claim = self.register.claim(self.tries)
            self.gathering = self._join(claim)
        except BaseException as error:
            self.begun.set_exception(error)
        else:
            self.begun.set_result(claim)

    def _join(self, claim: Claim) -> Gathering | None:
        """At once: connections are made in the background, and parts of others are taken, while this rank works."""
        a = self.assignment
        # Where a rank that gathers began before, the gather of the others has ended, or is another's: RankRegister.
        if claim.duplicate or (claim.attempt > 0 and self.gathers) or not a.fmi_enabled:
            return None
        if a.rendezvous_endpoint is None:
            return None
        join = partial(self._join_group, a.rendezvous_endpoint, claim.attempt)
        memory_mb, log = self.settings.memory_mb, self.log
        return Gathering(join, self.objects, a, log, memory_mb, self.deadline, clock=self.clock)

    def _join_group(self, endpoint: str, attempt: int, group: GroupPlace) -> "Communicator":
        a = self.assignment
        return self.join(
            endpoint,
            self.settings.max_segment,
            run_id=a.run_id + group.suffix,
            run_key=group.key(bytes.fromhex(a.run_key)),
            rank=group.number,
            world_size=len(group.members),
            attempt=attempt,
            rendezvous_key=self.settings.rendezvous_key,
            names=group.members if a.gather_width != STAR or a.gather_root else None,
            deadline=self.clock() + JOIN_TIMEOUT_S,
        )

    def _leave(self) -> None:
        if self.gathering is not None:
            self.gathering.close()

    def _result(self) -> tuple[Record, bytes]:
        """The record of the attempt that counts, and its table as a file; both are on S3.

        The table is empty where it is too large to be in memory.
        """
        self._take_weights()
        if self.tries > 0 and self._claim().finished is None:
            self.inferring.resume()
        if not (self.begun.done() and self._claim().finished is not None):
            self.inferring.infer(self.engine, self._check, self.stretches.add)
        claim = self._claim()
        self._phase("write")
        if claim.finished is not None:
            record, table = self._adopt(claim.finished)
            if not claim.duplicate:  # the attempt that wrote it was lost before it could answer
                reason = claim.gather_error or record["gather_error"]
                record = self.register.write({**record, "adopted_by": claim.attempt, "gather_error": reason})
            return record, table
        written = [quantiles_key(self.assignment.result_path, self.assignment.rank)]
        try:
            tables = self.finished.tables()
            self.distributions = write_distributions(self.engine, tables, self.objects, self.assignment)
            key, whole = self._write_table()
            written.append(key)
            self.statistics = whole.statistics.to_json()
            reason = DUPLICATE if claim.duplicate and not self.gathers else claim.gather_error
            record = self._record(whole.facts(key), STORAGE, gather_error=reason)
            standing = self._timed("write_s", lambda: self.register.write(record))
        except RunSuperseded:
            self.objects.remove_strays(written, self.assignment.rank)
            raise
        return (record, whole.content) if standing is record else self._adopt(standing)

    def _take_weights(self) -> None:
        """Predicts by the run's own weights, if it brings any."""
        if (model := self.assignment.model) is None:
            return
        self._phase("weights", object=model.key)
        own = self.weights.load(model, self.open_store(model.bucket, self.requests))
        self.engine, self.weights_name, self.engine_damage = own.engine, own.name, None

    def _claim(self) -> Claim:
        """Waits until this attempt has begun, but not beyond the deadline."""
        try:
            return self.begun.result(max(0.0, self.deadline - self.clock()))
        except FutureTimeoutError:
            key = result_key(self.assignment.result_path, self.assignment.rank)
            raise self.inferring.out_of_time("claim", self.objects.store.url(key), 0.0, "no answer from S3") from None

    def _check(self) -> None:
        """Raises what went wrong in the background."""
        if self.begun.done() and (error := self.begun.exception()) is not None:
            raise error
        if self.stretches.error is not None:
            raise self.stretches.error

    def _keep_what_is_done(self, error: Exception) -> None:
        """One bad partition costs no other its predictions; an S3 that does not answer must not hide the error.

        Rank 0 hears at once of a failure for good, for which no attempt follows that could bring this rank's part.
        """
        if isinstance(error, RunSuperseded):
            return
        self.stretches.end()
        for_good = not getattr(error, "transient", False)
        what = f"{type(error).__name__}: {error}"
        with suppress(Exception):
            self.stretches.flush()
        with suppress(Exception):
            reason = f"failed: {what}" if for_good else self._claim().gather_error
            self.register.write(self._record(None, STORAGE, error=what, gather_error=reason))
        if for_good:
            with suppress(Exception):
                self._withdraw(error)

    def _withdraw(self, error: Exception) -> None:
        if self.gathering is None and self.begun.done() and self.begun.exception() is not None:
            self.gathering = self._join(Claim(self.tries))  # only S3 has refused it: the rank above can still be told
        if self.gathering is not None:
            self.gathering.withdraw(error, self.clock() + WITHDRAWAL_S)

    def _write_table(self) -> tuple[str, RankTable]:
        """Writes this attempt's table to where another attempt cannot replace it, and gives its key."""
        key = predictions_key(self.assignment.result_path, self.assignment.rank)
        table, etag = self._put_table(key, "keep")
        if etag is None:
            self.stretches.end()
            key, metadata = self.stretches.next_name(self.finished.parts())
            table, _ = self._put_table(key, "replace", metadata)
        return key, table

    def _put_table(
        self, key: str, within_run: Literal["replace", "keep"], metadata: Mapping[str, str] | None = None
    ) -> tuple[RankTable, str | None]:
        """Writes this attempt's table, and gives its ETag, which is None where one of this run was kept."""
        # The engine says which columns there are, also of no galaxies.
        shape = TableShape.joined([no_predictions(self.engine).shape(), *self.finished.shapes()])
        with self.objects.begin(key) as upload:
            table = RankTable.written(self.finished.tables(), shape, upload, metadata, self.travelling_bytes)
            etag = self.objects.put(key, upload, within_run=within_run)
            if etag is None:
                upload.drop()
        return table, etag

    def _adopt(self, record: Record) -> tuple[Record, bytes]:
        """The result of another attempt, which was complete before this one."""
        facts = record["predictions"]
        if (table := named_table(self.objects.store, facts, self.travelling_bytes)) is None:
            url = self.objects.store.url(facts["key"])
            raise StorageUnavailable(f"{url} is not the table of attempt {record['attempt']}, whose record names it")
        self._phase("adopt", attempt=record["attempt"])
        return record, table.content

    def _gather(self, gathering: Gathering, record: Record, table: bytes) -> Record:
        self._phase("gather")
        deadline = min(self.clock() + self.assignment.gather_timeout_s, self.deadline)
        transport, reason, waited_s = self._timed("gather_s", lambda: gathering.gather(record, table, deadline))
        self.phases.wait_s = waited_s
        if record["attempt"] == self._claim().attempt:
            record = self._record(record["predictions"], transport, gather_error=reason)
        else:
            record = {**record, "transport": transport, "gather_error": reason}
        self._timed("write_s", lambda: self.register.write(record))
        return record

    def _record(
        self,
        predictions: dict[str, Any] | None,
        transport: str,
        *,
        error: str | None = None,
        gather_error: str | None = None,
    ) -> Record:
        communicator = None if self.gathering is None else self.gathering.communicator
        return rank_record(
            self.assignment,
            self._claim().attempt,
            self.inferring.work,
            self._phases_so_far(),
            self._usage(),
            predictions,
            transport,
            statistics=self.statistics,
            error=error,
            gather_error=gather_error,
            nat=str(communicator.nat) if communicator is not None else None,
            tries=self.tries,
            distributions=self.distributions,
        )

    def _phases_so_far(self) -> Phases:
        work = self.inferring.work
        self.phases.download_s = work.read_s
        self.phases.first_batch_s, self.phases.inference_s = work.first_batch_s, work.inference_s
        self.phases.total_s = self.clock() - self.started
        if self.gathering is not None:
            self.phases.join_s = self.gathering.communicator.join_s
            self.phases.connect_s = self.gathering.connect_s
        return self.phases

    def _usage(self) -> Usage:
        return Usage(
            peak_rss_mb=process.peak_rss_mb(),
            model_mb=self.engine.parameters_mb,
            memory_size_mb=self.settings.memory_mb,
            engine=self.engine.name,
            device=self.engine.device,
            s3_puts=self.requests.puts + self.requests.lists,
            s3_gets=self.requests.gets + self.requests.heads,
            s3_bytes_in=self.requests.bytes_in,
            s3_times=self.requests.times,
            engine_damage=self.engine_damage,
            weights=self.weights_name or None,
            architecture=process.architecture(),
        )

    def _facts(self) -> dict[str, Any]:
        """What a stretch says of its attempt, for the case that no record will."""
        usage = {name: value for name, value in vars(self._usage()).items() if name != "s3_times"}
        return {"attempt": self._claim().attempt, "usage": usage, "phases": asdict(self._phases_so_far())}

    def _phase(self, phase: str, **fields: str | float) -> None:
        self.log("phase", rank=self.assignment.rank, phase=phase, **fields)

    def _timed(self, phase: str, step: Callable[[], Any]) -> Any:
        started = self.clock()
        try:
            return step()
        finally:
            setattr(self.phases, phase, getattr(self.phases, phase) + self.clock() - started)
