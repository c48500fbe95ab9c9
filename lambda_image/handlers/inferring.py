"""The inference of an invocation, one partition after another, until its time is over."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from functools import partial

from lambda_image import stretches
from lambda_image.data.partition import PartitionStream, open_partition
from lambda_image.data.sizes import Sizes
from lambda_image.errors import DeadlineExceeded
from lambda_image.inference import infer
from lambda_image.manifest import Assignment, Slice
from lambda_image.model.engine import Engine
from lambda_image.partition_tables import PartitionTables
from lambda_image.read_ahead import OverdueError
from lambda_image.results import Work
from lambda_image.storage import ObjectStore
from lambda_image.stretch_file import Finished

PROGRESS_INTERVAL_S = 0.25  # between two progress lines


@dataclass(frozen=True)
class Download:
    """A partition that is being read since `started`, seconds of the clock, when `bytes_before` had come in all."""

    url: str
    bytes_before: int
    started: float

    def rate(self, bytes_in: int, now: float) -> tuple[float, str]:
        """In bytes per second, and in words."""
        count, seconds = bytes_in - self.bytes_before, now - self.started
        rate = count / seconds if seconds > 0 else 0.0
        return rate, f"{count:,} bytes in {seconds:.1f} s, which are {rate:,.1f} B/s"


class Inferring:
    """Infers the partitions of an assignment.

    Attributes:
        work: what was done, with what earlier attempts did of it.
        finished: partitions by their places in the assignment.
    """

    def __init__(
        self,
        assignment: Assignment,
        data: ObjectStore,
        finished: PartitionTables,
        deadline: float,
        clock: Callable[[], float],
        tell: Callable[..., None],
    ) -> None:
        """Makes it; `infer` does the rest.

        Args:
            assignment: the rank's item of the manifest.
            data: the bucket of the partitions.
            finished: takes the partitions that are done.
            deadline: by when it ends, in seconds of `clock`.
            clock: gives seconds.
            tell: is told of every phase by its name, and what there is to say of it.
        """
        self._assignment, self._data, self._deadline = assignment, data, deadline
        self._clock, self._tell = clock, tell
        self._started = clock()
        self._download: Download | None = None  # the one that began last
        self.work = Work()
        self.finished = finished

    def resume(self) -> None:
        """Takes over what earlier attempts have finished."""
        stretches.read_into(self.finished, self._assignment)
        for part in self.finished.parts():
            self.work.merge(part.work)
        if len(self.finished):
            self._tell("resume", partitions=len(self.finished))

    def infer(self, engine: Engine, check: Callable[[], None], keep: Callable[[int, Finished], None]) -> None:
        """Fills `finished`, one partition after another.

        Args:
            engine: infers.
            check: raises what ends the inference early.
            keep: is given the place and the content of every partition but the last, which needs no keeping.

        Raises:
            DeadlineExceeded: the invocation's time is over.
            RunError: a partition is missing or malformed, or S3 does not answer.
        """
        last_reported = -math.inf

        def report(work: Work) -> None:
            nonlocal last_reported
            if (now := self._clock()) - last_reported >= PROGRESS_INTERVAL_S:
                last_reported = now
                self._tell("inference", samples=work.samples, samples_per_s=round(_speed(work), 1))
            check()

        left = [place for place in range(len(self._assignment.partitions)) if place not in self.finished]
        slices = [self._assignment.partitions[place] for place in left]
        partitions = [(part.key, partial(self._open, part, engine.sizes)) for part in slices]
        before, done = deepcopy(self.work), 0
        inferred = infer(
            partitions,
            engine,
            self._assignment.batch_size,
            self.work,
            report,
            self._assignment.on_bad_row,
            self._deadline,
            self._clock,
        )
        try:
            for predictions in inferred:
                part = Finished(predictions, self.work.since(before))
                before = deepcopy(self.work)
                self.finished.add(left[done], part)
                done += 1
                if done < len(left):
                    keep(left[done - 1], part)
        except OverdueError as overdue:
            url = self._data.url(slices[done].key)
            if overdue.made:
                what = f"{self.work.samples:,} samples inferred at {_speed(self.work):,.1f} samples/s"
                raise self.out_of_time("inference", url, _speed(self.work), what) from overdue
            download = self._download or Download(url, 0, self._started)
            rate, what = download.rate(self._data.requests.bytes_in, self._clock())
            raise self.out_of_time("download", download.url, rate, what) from overdue

    def out_of_time(self, phase: str, url: str, rate: float, what: str) -> DeadlineExceeded:
        """Says what the time ended in.

        Args:
            phase: what was done.
            url: the object that it was about.
            rate: how fast that was, in bytes or samples per second.
            what: the same in words.
        """
        done, total = len(self.finished), len(self._assignment.partitions)
        message = (
            f"rank {self._assignment.rank} ran out of its function's time in the {phase} of {url}: {what}. "
            f"{done} of {total} partitions are finished and kept. Its next attempt goes on from there"
        )
        return DeadlineExceeded(message, phase=phase, object=url, rate=rate)

    @contextmanager
    def _open(self, part: Slice, sizes: Sizes) -> Iterator[PartitionStream]:
        """Called ahead of the inference, in a thread of its own."""
        self._tell("download", object=part.key)
        self._download = Download(self._data.url(part.key), self._data.requests.bytes_in, self._clock())
        with self._data.open(part.key, part.etag) as source:
            yield open_partition(source, self._data.url(part.key), part.rows, sizes)


def _speed(work: Work) -> float:
    """In samples per second of inference."""
    return work.samples / work.inference_s if work.inference_s else 0.0
