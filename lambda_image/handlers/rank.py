"""One rank of a run: infer its partitions, put the predictions on S3, then offer them to the gather at rank 0.

In this order, so that whatever happens to the sockets, no prediction is lost: a gather that fails makes the run slower
(Summarize reads the ranks' objects), never wrong.
"""

import os
import time
from collections.abc import Callable, Mapping
from typing import Any, cast

from lambda_image import process
from lambda_image.comm.communicator import Communicator
from lambda_image.errors import RunError
from lambda_image.handlers import log
from lambda_image.inference import infer
from lambda_image.manifest import Assignment, predictions_key, result_key
from lambda_image.model import engine as engines
from lambda_image.model.engine import Engine
from lambda_image.partition import open_partition
from lambda_image.predictions import Predictions
from lambda_image.results import SELF, STORAGE, Phases, Record, Usage, Work, pack, rank_record, unpack
from lambda_image.settings import Settings
from lambda_image.storage import ObjectStore, Requests
from rendezvous_server.protocol import Topology

ROOT = 0
JOIN_TIMEOUT_S = 10.0  # for the rendezvous server to let this rank in, in the background of the first download
LAST_WORDS_S = 10.0  # of the invocation's time, kept for writing the record after a gather that came to nothing
PROGRESS_INTERVAL_S = 0.25  # between two progress lines


class RankFunction:
    """One execution environment: it has loaded the model and answers invocations one after another."""

    def __init__(self, settings: Settings, engine: Engine, cold_start_s: float) -> None:
        self._settings, self._engine = settings, engine
        self._cold_start_s = cold_start_s  # counts for the first invocation only

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "RankFunction":
        settings = Settings.from_environ(environ)
        engine = engines.load(settings.model_path, settings.threads)
        return cls(settings, engine, process.age_s())

    def __call__(self, event: Mapping[str, Any], context: Any) -> dict[str, int]:
        """`event` is {"item": the manifest's item, "attempt": how often the rank was invoked before}."""
        assignment = Assignment.from_json(event["item"])
        time_left_s = context.get_remaining_time_in_millis() / 1000
        run = _Rank(self, assignment, int(event.get("attempt") or 0), time.monotonic() + time_left_s - LAST_WORDS_S)
        self._cold_start_s = 0.0
        try:
            run.perform()
        except RunError as error:
            log("failed", rank=assignment.rank, error=type(error).__name__, message=str(error))
            raise
        return {"rank": assignment.rank}  # no more: 10,000 ranks' answers must fit into one state's 256 KiB


class _Rank:
    """One invocation."""

    def __init__(self, function: RankFunction, assignment: Assignment, attempt: int, deadline: float) -> None:
        self.assignment, self.attempt, self.deadline = assignment, attempt, deadline
        self.settings, self.engine = function._settings, function._engine
        self.phases = Phases(cold_start_s=function._cold_start_s)
        self.work = Work()
        self.requests = Requests()
        self.data = ObjectStore(assignment.data_bucket, requests=self.requests)
        self.results = ObjectStore(assignment.bucket, requests=self.requests)
        self.started = time.perf_counter()

    def perform(self) -> None:
        log("phase", rank=self.assignment.rank, phase="start", attempt=self.attempt)
        communicator = self._join()
        try:
            predictions = self._infer()
            self._phase("write")
            table = predictions.to_parquet()
            self.results.put(predictions_key(self.assignment.result_path, self.assignment.rank), table)
            record = self._write_record(table, STORAGE)
            if communicator is not None:
                transport = self._timed("gather_s", lambda: self._gather(communicator, record, table))
                record = self._write_record(table, transport)
        finally:
            if communicator is not None:
                communicator.close()
        self._phase("done", transport=record["transport"], samples=self.work.samples)

    def _join(self) -> Communicator | None:
        """At once: connections are made in the background, while this rank works.

        A root that is retried stays alone: the other ranks' gathers ended with the root that was lost, and waiting for
        ranks that have gone would take the whole gather_timeout_s. Summarize puts such a run together.
        """
        a = self.assignment
        if not a.fmi_enabled or a.rendezvous_endpoint is None or (a.rank == ROOT and self.attempt > 0):
            return None
        return Communicator.join(
            a.rendezvous_endpoint,
            run_id=a.run_id,
            run_key=bytes.fromhex(a.run_key),
            rank=a.rank,
            world_size=a.world_size,
            attempt=self.attempt,
            rendezvous_key=self.settings.rendezvous_key,
            deadline=time.monotonic() + JOIN_TIMEOUT_S,
            topology=Topology.STAR,
        )

    def _infer(self) -> Predictions:
        parts = []
        last_said = 0.0

        def say(work: Work) -> None:
            nonlocal last_said
            if (now := time.perf_counter()) - last_said >= PROGRESS_INTERVAL_S:
                last_said = now
                rate = work.samples / work.inference_s if work.inference_s else 0.0
                self._phase("inference", samples=work.samples, samples_per_s=round(rate, 1))

        for part in self.assignment.partitions:
            self._phase("download", object=part.key)
            with self.data.open(part.key) as source:
                opened = time.perf_counter()
                stream = open_partition(source, self.data.url(part.key), part.rows)
                self.work.read_s += time.perf_counter() - opened
                parts.append(infer(stream, part.key, self.engine, self.assignment.batch_size, self.work, say))
        self.phases.download_s, self.phases.inference_s = self.work.read_s, self.work.inference_s
        return Predictions.concatenate(parts)

    def _write_record(self, table: bytes, transport: str) -> Record:
        self.phases.total_s = time.perf_counter() - self.started
        usage = Usage(
            peak_rss_mb=process.peak_rss_mb(),
            model_mb=self.engine.parameters_mb,
            memory_size_mb=self.settings.memory_mb,
            device=self.engine.device,
            s3_puts=self.requests.puts + self.requests.lists,
            s3_gets=self.requests.gets + self.requests.heads,
            s3_bytes_in=self.requests.bytes_in,
        )
        record = rank_record(self.assignment, self.attempt, self.work, self.phases, usage, table, transport)
        key = result_key(self.assignment.result_path, self.assignment.rank)
        self._timed("write_s", lambda: self.results.put_json(key, record))
        return record

    def _gather(self, communicator: Communicator, record: Record, table: bytes) -> str:
        """How the part travelled: by the communicator's transport, or, where the gather failed, by way of storage."""
        self._phase("gather")
        deadline = min(time.monotonic() + self.assignment.gather_timeout_s, self.deadline)
        try:
            gathered = communicator.gather(
                pack(record, table), root=ROOT, deadline=deadline, allow_missing=True, await_retries=True
            )
        except RunError as error:
            log("gather_failed", rank=self.assignment.rank, error=type(error).__name__, message=str(error))
            return STORAGE
        if gathered is None:  # not the root: what was sent has been received
            return _transports(communicator)[ROOT]
        if gathered.missing:
            missing = {rank: str(error) for rank, error in gathered.missing.items()}
            log("gather_incomplete", rank=self.assignment.rank, missing=missing)
            return STORAGE
        self._combine(communicator, [cast(bytearray, part) for part in gathered.parts])
        return SELF

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
        self.results.put_json(f"{path}/combined_data.json", records)

    def _phase(self, phase: str, **fields: str | float) -> None:
        log("phase", rank=self.assignment.rank, phase=phase, **fields)

    def _timed(self, phase: str, step: Callable[[], Any]) -> Any:
        started = time.perf_counter()
        try:
            return step()
        finally:
            setattr(self.phases, phase, getattr(self.phases, phase) + time.perf_counter() - started)


def _transports(communicator: Communicator) -> dict[int, str]:
    return {peer.rank: peer.transport for peer in communicator.peers() if peer.transport is not None}


if "AWS_LAMBDA_RUNTIME_API" in os.environ:  # in a Lambda: load the model in the init phase, once per environment
    handler = RankFunction.from_environ(os.environ)
