"""A rank function and all that it touches: a bucket in memory, a communicator that does as it is told, a clock."""

import functools
import itertools
import json
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from lambda_image.comm.closing import Closing
from lambda_image.comm.communicator import PeerFacts
from lambda_image.comm.operations.collectives import Gathered
from lambda_image.data.partition import write_partition
from lambda_image.data.predictions import Predictions
from lambda_image.data.sizes import PUBLISHED
from lambda_image.errors import RunError
from lambda_image.handlers.invocation import Collaborators
from lambda_image.handlers.rank import RankFunction
from lambda_image.manifest import Assignment, Slice
from lambda_image.ownership import RunObjects
from lambda_image.register import RankRegister
from lambda_image.results import Phases, pack
from lambda_image.settings import HandlerSettings
from lambda_image.storage import ObjectStore
from tests.unit.lambda_image.handlers.fake_s3 import FakeS3

NOW, TIME_LEFT_S = 1000.0, 100.0
ROWS = 3
TABLE, RECORD = "r/predictions/1.parquet", "r/1.json"
STRETCH = "r/attempts/1/0/0.parquet"
CLAIM = RECORD  # the first version of it
ROOTS = "r/0.json"


class JournalledS3(FakeS3):
    """Appends every write to a journal; objects in `unavailable` cannot be had, and with `full` nothing is written.

    Those in `silent` are answered when their event is set.
    """

    def __init__(self, journal: list[str]) -> None:
        super().__init__()
        self.journal = journal
        self.unavailable: set[str] = set()
        self.silent: dict[str, threading.Event] = {}
        self.full = False
        self.puts = 0
        self.before_put: Callable[[int], None] = lambda number: None

    def put_object(self, *, Key: str, Body: bytes, **given: Any) -> dict[str, str]:  # noqa: N803
        self.puts += 1
        self.before_put(self.puts)
        if self.full:
            raise self._refusal("SlowDown", 503)
        self.journal.append(Key)
        return super().put_object(Key=Key, Body=Body, **given)

    def get_object(self, *, Key: str, **given: Any) -> dict[str, Any]:  # noqa: N803
        if Key in self.unavailable:
            raise self._refusal("SlowDown", 503)
        if Key in self.silent:
            self.silent[Key].wait()
        return super().get_object(Key=Key, **given)


class MeanMagnitude:
    """An engine whose answers tell which rows it was given."""

    name, device, parameters_mb, sizes = "eager", "cpu", 1.0, PUBLISHED

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.before: Callable[[], None] = lambda: None

    def predict(self, images: np.ndarray, magnitudes: np.ndarray) -> np.ndarray:
        self.before()
        if self.error is not None:
            raise self.error
        return magnitudes.mean(axis=1)


class Peers:
    """A communicator whose peers have all joined, and whose gather does what `answer` does."""

    join_s, nat, failure = 0.25, "none", None

    def __init__(self, journal: list[str], rank: int, world_size: int) -> None:
        self.journal = journal
        self.answer: Callable[[bytes], Gathered | None] = lambda part: None
        self.withdrawal: RunError | None = None
        self.joined: dict[str, Any] = {}
        self.gathered: list[dict[str, Any]] = []
        self.withdrawn: list[tuple[Exception, int, float]] = []
        self.closed = False
        others = [other for other in range(world_size) if other != rank]
        self.facts = [PeerFacts(other, 0, "direct", 0.5, 0, 0, None) for other in others]

    def join(self, endpoint: str, max_segment: int | None, **given: Any) -> "Peers":
        self.joined = {"endpoint": endpoint, "max_segment": max_segment, **given}
        return self

    def peers(self) -> list[PeerFacts]:
        return self.facts

    def wait_for_peer(self, rank: int, *, timeout_s: float) -> bool:
        assert timeout_s >= 0
        return any(peer.rank == rank for peer in self.facts)

    def gather(self, part: bytes, closing: Closing | None = None, **given: Any) -> Gathered | None:
        if closing is not None:  # a root takes parts until its own work is done
            closed = threading.Event()
            closing.listen(closed.set)
            assert not closing.open or closed.wait(TIME_LEFT_S)
        self.journal.append("gather")
        self.gathered.append({"part": part, **given})
        return self.answer(part)

    def withdraw(self, error: Exception, root: int, *, deadline: float) -> None:
        self.withdrawn.append((error, root, deadline))
        if self.withdrawal is not None:
            raise self.withdrawal

    def close(self) -> None:
        self.closed = True


class Clock:
    """Stands still, unless it is told how to go on."""

    def __init__(self) -> None:
        self.steps = itertools.repeat(NOW)

    def __call__(self) -> float:
        return next(self.steps)


@functools.cache
def partition_of(magnitude: float) -> bytes:
    magnitudes = np.full((ROWS, 5), magnitude, np.float32)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "partition")
        write_partition(file, np.zeros((ROWS, 5, 32, 32), np.float32), magnitudes, file_format="safetensors")
        return file.read_bytes()


class Stage:
    """A rank function and all that it touches."""

    def __init__(
        self,
        rank: int = 1,
        partitions: Sequence[str] = ("d/1",),
        assignment: Assignment | None = None,
        **changes: Any,
    ) -> None:
        self.journal: list[str] = []
        self.logged: list[dict[str, Any]] = []
        self.s3 = JournalledS3(self.journal)
        self.engine = MeanMagnitude()
        self.clock = Clock()
        self.assignment = assignment or Assignment(
            execution="arn:machine:run-1",
            run_key="00" * 32,
            rank=rank,
            world_size=3,
            bucket="b",
            result_path="r",
            data_bucket="b",
            partitions=tuple(map(Slice, partitions)),
            batch_size=2,
            fmi_enabled=True,
            rendezvous_endpoint="rendezvous:10000",
            gather_timeout_s=60.0,
            started_at=NOW,
        )
        self.assignment = replace(self.assignment, **changes)
        self.communicator = Peers(self.journal, rank, self.assignment.world_size)
        for number, key in enumerate(partitions):
            self.s3.objects[key] = partition_of(20 + number)
        self.function = RankFunction(
            HandlerSettings.from_environ({"RENDEZVOUS_KEY": "secret"}),
            self.engine,  # type: ignore[arg-type]
            Phases(cold_start_s=7.0),
            Collaborators(
                open_store=lambda bucket, requests: ObjectStore(bucket, client=self.s3, requests=requests),  # type: ignore[arg-type]
                join=self.communicator.join,  # type: ignore[arg-type]
                clock=self.clock,
                log=lambda event, **fields: self.logged.append({"event": event, **fields}),
            ),
        )

    def invoke(self, attempt: int = 0, time_left_s: float = TIME_LEFT_S) -> dict[str, int]:
        return self.function({"item": self.assignment.to_json(), "attempt": attempt}, self.context(time_left_s))

    def context(self, time_left_s: float = TIME_LEFT_S) -> SimpleNamespace:
        return SimpleNamespace(get_remaining_time_in_millis=lambda: int(time_left_s * 1000))

    @classmethod
    def of(cls, other: "Stage", assignment: Assignment) -> "Stage":
        """Another rank function with the same bucket."""
        stage = cls(assignment=assignment)
        stage.s3.objects, stage.s3.metadata = other.s3.objects, other.s3.metadata
        return stage

    def results(self) -> dict[str, bytes]:
        """What lies under the result path."""
        return {key: data for key, data in self.s3.objects.items() if key.startswith("r/")}

    def lose_the_path(
        self, put: int, world_size: int = 1, then: Callable[[Assignment], None] = lambda later: None
    ) -> None:
        """A later run takes the result path, as Init does, before the function writes for the `put`th time."""
        later = replace(self.assignment, execution="arn:machine:run-2", world_size=world_size)

        def follow(number: int) -> None:
            if number == put:
                for key in self.results():
                    del self.s3.objects[key]
                self.s3.objects["r/manifest.json"] = json.dumps([later.to_json()]).encode()
                then(later)

        self.s3.before_put = follow

    def objects(self) -> RunObjects:
        store = ObjectStore("b", client=self.s3)  # type: ignore[arg-type]
        return RunObjects(store, self.assignment.execution, self.assignment.result_path)

    def claim(self, tries: int) -> None:
        """Begins an attempt that goes no further."""
        RankRegister(self.objects(), self.assignment).claim(tries)

    def fill_after_the_claim(self) -> None:
        self.s3.before_put = lambda number: setattr(self.s3, "full", number > 1)

    def json(self, key: str) -> Any:
        return json.loads(self.s3.objects[key])

    def table(self, key: str = TABLE) -> Predictions:
        return Predictions.from_parquet(self.s3.objects[key])

    def part(self) -> bytes:
        """What the rank has to give."""
        key = f"r/predictions/{self.assignment.rank}.parquet"
        return pack(self.json(f"r/{self.assignment.rank}.json"), self.s3.objects[key])

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [entry for entry in self.logged if entry["event"] == kind]
