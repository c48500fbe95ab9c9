"""One rank of a run. It infers its partitions, puts the predictions on S3, and offers them to the gather at rank 0.

The order of these steps keeps every prediction, whatever happens to the sockets. A gather that fails makes the run
slower, since Summarize then reads the ranks' own objects, and never wrong.

Rank 0 writes `gather_ended.json` when it gathers no more. Its first attempt does so where parts did not come, and a
later attempt at once. The object is {"execution": the run's ARN, "reason": why}. A rank that is done later finds it,
leaves its part on S3, and puts the reason into its record.
"""

import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

from lambda_image import process
from lambda_image.comm.channel.channel import ChannelSettings
from lambda_image.comm.communicator import Communicator
from lambda_image.data.partition import PartitionStream, open_partition
from lambda_image.data.predictions import Predictions
from lambda_image.errors import InvalidEvent, RunError
from lambda_image.handlers import log
from lambda_image.inference import infer, no_predictions
from lambda_image.manifest import Assignment, Slice, predictions_key, result_key
from lambda_image.model import engine as engines
from lambda_image.model.engine import Engine
from lambda_image.results import SELF, STORAGE, Phases, Record, Usage, Work, combined, pack, rank_record, unpack
from lambda_image.settings import HandlerSettings
from lambda_image.storage import ObjectStore, Requests
from rendezvous_server.protocol import ROOT, Topology

JOIN_TIMEOUT_S = 10.0  # for the rendezvous server to let this rank in, in the background of the first download
WITHDRAWAL_S = 5.0  # for the root to hear that a rank failed for good; it may be connecting at that moment
# Ranks join when they begin. A root that has not joined when another rank is done is late, or was lost before that
# one joined; whoever waits for it for long may even keep the worker busy that it needs.
ROOT_LATE_S = 10.0
RECORD_TIME_S = 10.0  # of the invocation's time, kept for writing the record after a gather that came to nothing
PROGRESS_INTERVAL_S = 0.25  # between two progress lines


def _open_store(bucket: str, requests: Requests) -> ObjectStore:
    return ObjectStore(bucket, requests=requests)


@dataclass(frozen=True)
class Collaborators:
    """What a rank uses of the world outside; a test passes its own."""

    open_store: Callable[[str, Requests], ObjectStore] = _open_store
    join: Callable[..., Communicator] = Communicator.join
    clock: Callable[[], float] = time.monotonic  # seconds
    log: Callable[..., None] = log


class RankFunction:
    """Answers the invocations of one execution environment, one after another, by an engine that is loaded."""

    def __init__(
        self,
        settings: HandlerSettings,
        engine: Engine,
        cold_start: Phases,
        collaborators: Collaborators | None = None,
    ) -> None:
        self.settings, self.engine = settings, engine
        self.collaborators = collaborators or Collaborators()
        self._cold_start = cold_start  # counts for the first invocation only

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "RankFunction":
        """Loads the model that the environment names.

        Raises:
            InvalidEvent: a variable has a value that is not allowed.
            CheckpointError: the model cannot be read.
        """
        interpreter_s, imported_s = process.AGE_AT_IMPORT_S, process.age_s()
        settings = HandlerSettings.from_environ(environ)
        engine = engines.load(
            settings.model_path,
            settings.threads,
            settings.engine,
            lambda reason: log("engine", message=reason),
            settings.device,
        )
        loaded_s = process.age_s()
        cold_start = Phases(
            interpreter_s=interpreter_s,
            imports_s=imported_s - interpreter_s,
            model_s=loaded_s - imported_s,
            cold_start_s=loaded_s,
        )
        return cls(settings, engine, cold_start)

    def __call__(self, event: Mapping[str, Any], context: Any) -> dict[str, int]:
        """Does the work of one rank, and leaves its predictions and its record on S3.

        Args:
            event: {"item": the manifest's item, "attempt": how often the rank was invoked before}.
            context: what Lambda tells of the invocation, of which the remaining time counts.

        Returns:
            {"rank": its rank}.

        Raises:
            RunError: the rank failed; what it had finished by then is on S3.
        """
        if not isinstance(event, Mapping) or "item" not in event:
            raise InvalidEvent("a rank is invoked by the state machine, with an item of the manifest and the attempt")
        assignment = Assignment.from_json(event["item"])
        time_left_s = context.get_remaining_time_in_millis() / 1000
        deadline = self.collaborators.clock() + time_left_s - RECORD_TIME_S
        invocation = _Invocation(self, assignment, int(event.get("attempt") or 0), deadline, self._cold_start)
        self._cold_start = Phases()
        try:
            invocation.perform()
        except RunError as error:
            self.collaborators.log("failed", rank=assignment.rank, error=type(error).__name__, message=str(error))
            raise
        return {"rank": assignment.rank}  # no more: 10,000 ranks' answers must fit into one state's 256 KiB


class _Invocation:
    """What one invocation knows and does. The gather ends by `deadline`, seconds of the clock."""

    def __init__(
        self, function: RankFunction, assignment: Assignment, attempt: int, deadline: float, cold_start: Phases
    ) -> None:
        self.assignment, self.attempt, self.deadline = assignment, attempt, deadline
        self.settings, self.engine = function.settings, function.engine
        outside = function.collaborators
        self.join, self.clock, self.log = outside.join, outside.clock, outside.log
        self.phases = replace(cold_start)
        self.work = Work()
        self.parts: list[Predictions] = []
        self.requests = Requests()
        self.data = outside.open_store(assignment.data_bucket, self.requests)
        self.results = outside.open_store(assignment.bucket, self.requests)
        self.communicator: Communicator | None = None
        self.started = self.clock()

    def perform(self) -> None:
        self.log("phase", rank=self.assignment.rank, phase="start", attempt=self.attempt)
        self.communicator = communicator = self._join()
        try:
            try:
                self._infer()
            except Exception as error:
                self._keep_what_is_done(error)
                if communicator is not None and not getattr(error, "transient", False):
                    with suppress(RunError):
                        communicator.withdraw(error, ROOT, deadline=self.clock() + WITHDRAWAL_S)
                raise
            self._phase("write")
            table = self._write_table()
            record = self._write_record(table, STORAGE)
            if communicator is not None:
                transport, reason = self._timed("gather_s", lambda: self._gather(communicator, record, table))
                record = self._write_record(table, transport, gather_error=reason)
        finally:
            if communicator is not None:
                communicator.close()
        self._phase("done", transport=record["transport"], samples=self.work.samples)

    def _join(self) -> Communicator | None:
        """At once: connections are made in the background, while this rank works."""
        a = self.assignment
        if not a.fmi_enabled or a.rendezvous_endpoint is None:
            return None
        if a.rank == ROOT and self.attempt > 0:
            # The other ranks' gathers ended with the root that was lost: those that have gone would not come back.
            self._end_gather("rank 0 was lost and tried again")
            return None
        return self.join(
            a.rendezvous_endpoint,
            run_id=a.run_id,
            run_key=bytes.fromhex(a.run_key),
            rank=a.rank,
            world_size=a.world_size,
            attempt=self.attempt,
            rendezvous_key=self.settings.rendezvous_key,
            deadline=self.clock() + JOIN_TIMEOUT_S,
            topology=Topology.STAR,
            settings=ChannelSettings(max_segment=self.settings.max_segment),
        )

    def _infer(self) -> None:
        """Fills `parts`, one for each partition that is done."""
        last_reported = -math.inf

        def report(work: Work) -> None:
            nonlocal last_reported
            if (now := self.clock()) - last_reported >= PROGRESS_INTERVAL_S:
                last_reported = now
                rate = work.samples / work.inference_s if work.inference_s else 0.0
                self._phase("inference", samples=work.samples, samples_per_s=round(rate, 1))

        partitions = [(part.key, partial(self._open, part)) for part in self.assignment.partitions]
        for predictions in infer(
            partitions, self.engine, self.assignment.batch_size, self.work, report, self.assignment.on_bad_row
        ):
            self.parts.append(predictions)

    @contextmanager
    def _open(self, part: Slice) -> Iterator[PartitionStream]:
        """Called ahead of the inference, in a thread of its own."""
        self._phase("download", object=part.key)
        with self.data.open(part.key, part.etag) as source:
            yield open_partition(source, self.data.url(part.key), part.rows, self.engine.sizes)

    def _keep_what_is_done(self, error: Exception) -> None:
        """One bad partition costs no other its predictions; an S3 that does not answer must not hide the error."""
        if self.parts:
            with suppress(RunError):
                self._write_record(self._write_table(), STORAGE, error=f"{type(error).__name__}: {error}")

    def _write_table(self) -> bytes:
        table = Predictions.concatenate([no_predictions(self.engine), *self.parts]).to_parquet()
        self.results.put(predictions_key(self.assignment.result_path, self.assignment.rank), table)
        return table

    def _write_record(
        self, table: bytes, transport: str, *, error: str | None = None, gather_error: str | None = None
    ) -> Record:
        self.phases.download_s = self.work.read_s
        self.phases.first_batch_s, self.phases.inference_s = self.work.first_batch_s, self.work.inference_s
        self.phases.total_s = self.clock() - self.started
        if (communicator := self.communicator) is not None:
            self.phases.join_s = communicator.join_s
            self.phases.connect_s = next((p.connect_s for p in communicator.peers() if p.rank == ROOT), None)
        usage = Usage(
            peak_rss_mb=process.peak_rss_mb(),
            model_mb=self.engine.parameters_mb,
            memory_size_mb=self.settings.memory_mb,
            engine=self.engine.name,
            device=self.engine.device,
            s3_puts=self.requests.puts + self.requests.lists,
            s3_gets=self.requests.gets + self.requests.heads,
            s3_bytes_in=self.requests.bytes_in,
            s3_times=self.requests.times,
        )
        record = rank_record(
            self.assignment,
            self.attempt,
            self.work,
            self.phases,
            usage,
            table,
            transport,
            error=error,
            gather_error=gather_error,
            nat=str(communicator.nat) if communicator is not None else None,
        )
        key = result_key(self.assignment.result_path, self.assignment.rank)
        self._timed("write_s", lambda: self.results.put_json(key, record))
        return record

    def _gather(self, communicator: Communicator, record: Record, table: bytes) -> tuple[str, str | None]:
        """How the part travelled: by the communicator's transport or, with the reason, by way of storage."""
        self._phase("gather")
        rank = self.assignment.rank
        if (reason := self._no_gather(communicator)) is not None:
            self.log("gather_failed", rank=rank, error="NoGather", message=reason)
            return STORAGE, reason
        deadline = min(self.clock() + self.assignment.gather_timeout_s, self.deadline)
        try:
            gathered = communicator.gather(
                pack(record, table), root=ROOT, deadline=deadline, allow_missing=True, await_retries=True
            )
        except RunError as error:
            self.log("gather_failed", rank=rank, error=type(error).__name__, message=str(error))
            return STORAGE, f"{type(error).__name__}: {error}"
        if gathered is None:  # not the root: what was sent has been received
            return _transports(communicator)[ROOT], None
        if gathered.missing:
            missing = {peer: str(error) for peer, error in gathered.missing.items()}
            self.log("gather_incomplete", rank=rank, missing=missing)
            reason = (
                f"{len(missing)} of {self.assignment.world_size} parts did not come: {next(iter(missing.values()))}"
            )
            self._end_gather(reason)
            return STORAGE, reason
        self._combine(communicator, [cast(bytearray, part) for part in gathered.parts])
        return SELF, None

    def _end_gather(self, reason: str) -> None:
        """Tells ranks that come later not to wait for a root that gathers no more."""
        self.results.put_json(self._gather_ended_key(), {"execution": self.assignment.execution, "reason": reason})

    def _no_gather(self, communicator: Communicator) -> str | None:
        """Why rank 0 will not take this rank's part, if that is known."""
        if self.assignment.rank == ROOT:
            return None
        found = self.results.find(self._gather_ended_key())
        ended = json.loads(found) if found is not None else {}
        if ended.get("execution") == self.assignment.execution:
            return str(ended["reason"])
        if communicator.wait_for_peer(ROOT, timeout_s=ROOT_LATE_S) or communicator.failure is not None:
            return None
        return f"rank 0 had not joined {ROOT_LATE_S:g} s after this rank's work was done"

    def _gather_ended_key(self) -> str:
        return f"{self.assignment.result_path}/gather_ended.json"

    def _combine(self, communicator: Communicator, parts: list[bytearray]) -> None:
        """Writes the combined result; the list of records last, since it vouches for the table."""
        path = self.assignment.result_path
        transports = {**_transports(communicator), self.assignment.rank: SELF}
        records, tables = [], []
        for rank, part in enumerate(parts):
            record, table = unpack(part)
            records.append({**record, "transport": transports[rank]})
            tables.append(Predictions.from_parquet(table))
        self.results.put(f"{path}/predictions.parquet", Predictions.concatenate(tables).to_parquet())
        self.results.put_json(f"{path}/combined_data.json", combined(records))

    def _phase(self, phase: str, **fields: str | float) -> None:
        self.log("phase", rank=self.assignment.rank, phase=phase, **fields)

    def _timed(self, phase: str, step: Callable[[], Any]) -> Any:
        started = self.clock()
        try:
            return step()
        finally:
            setattr(self.phases, phase, getattr(self.phases, phase) + self.clock() - started)


def _transports(communicator: Communicator) -> dict[int, str]:
    return {peer.rank: peer.transport for peer in communicator.peers() if peer.transport is not None}


if "AWS_LAMBDA_RUNTIME_API" in os.environ:  # in a Lambda: load the model in the init phase, once per environment
    handler = RankFunction.from_environ(os.environ)
