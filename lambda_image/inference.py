"""The way from partitions to predictions. Batches are read ahead of the engine, and every step is timed."""

import math
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np

from lambda_image.data.partition import IMAGE, PartitionStream
from lambda_image.data.predictions import Predictions
from lambda_image.data.quality import UNPREDICTABLE, Flags, OnBadRow, Quality, describe, known_redshifts
from lambda_image.errors import PartitionMalformed
from lambda_image.model.engine import Engine, predict_judged
from lambda_image.read_ahead import read_ahead
from lambda_image.results import Work

# Batches that are read while one is inferred: neither waits for the other, and memory does not grow with the partition.
BATCHES_AHEAD = 2

Opened = AbstractContextManager[PartitionStream]


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Rows of one partition. A partition without rows for this rank is a batch all the same, of no rows."""

    source: str
    stream: PartitionStream
    images: np.ndarray  # [n, 5, 32, 32]


def infer(
    partitions: Iterable[tuple[str, Callable[[], Opened]]],
    engine: Engine,
    batch_size: int,
    work: Work,
    progress: Callable[[Work], None],
    on_bad_row: OnBadRow = "flag",
    deadline: float = math.inf,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Predictions]:
    """Predicts the redshift of every row of `partitions`, and says of each what is wrong with it (data/quality.py).

    The next batch is read while one is inferred, also where it is the first of the next partition.

    Args:
        partitions: for each its name, and a function that opens it. The function is called in another thread.
        engine: what predicts.
        batch_size: how many rows it is given at a time.
        work: what was done, to which this adds.
        progress: is called with `work` after each batch.
        on_bad_row: what becomes of a row that cannot be judged. `flag` keeps it, without a prediction, `skip` leaves it
            out, and `fail` ends the inference.
        deadline: by when the last batch must have begun, in seconds of the clock.
        clock: tells the time.

    Yields:
        The predictions of one partition after another, in the order given.

    Raises:
        PartitionMalformed: a row cannot be judged, and `on_bad_row` is `fail`.
        OverdueError: the deadline has passed.
        Exception: whatever opening, reading or inferring raises, after the predictions of the partitions before.
    """
    redshifts: list[np.ndarray] = []
    flags: list[Flags] = []
    done = 0
    with read_ahead(_batches(partitions, batch_size), BATCHES_AHEAD, deadline, clock) as batches:
        for batch in _timed(batches, work):
            stream, images = batch.stream, batch.images
            magnitudes = stream.magnitudes[done : done + len(images)]
            if len(images):
                started, cpu_started = time.perf_counter(), time.process_time()
                predicted, judged = predict_judged(engine, images, magnitudes)
                redshifts.append(predicted)
                flags.append(judged)
                work.inference_s += time.perf_counter() - started
                work.first_batch_s = work.first_batch_s or work.inference_s
                work.inference_cpu_s += time.process_time() - cpu_started
                work.batches += 1
                work.samples += len(images)
                work.bits += 8 * (images.nbytes + magnitudes.nbytes)
                done += len(images)
                progress(work)
                if on_bad_row == "fail" and (judged & UNPREDICTABLE).any():
                    raise _bad_row(stream, done - len(images) + int(np.argmax((judged & UNPREDICTABLE) != 0)), judged)
            if done == len(stream):
                if not stream.total_rows:
                    work.empty_partitions.append(batch.source)
                yield _table(batch.source, stream, redshifts, flags, work, on_bad_row)
                redshifts, flags, done = [], [], 0


def _table(
    source: str,
    stream: PartitionStream,
    redshifts: list[np.ndarray],
    judged: list[Flags],
    work: Work,
    on_bad_row: OnBadRow,
) -> Predictions:
    """The predictions of a partition that is done. Its rows are counted in `work`."""
    predicted = np.concatenate([np.empty(0, np.float32), *redshifts])
    flags = np.concatenate([np.empty(0, np.int32), *judged])
    true = np.full(len(stream), np.nan, np.float32) if stream.redshifts is None else stream.redshifts
    known = known_redshifts(true)
    flags[~known] |= Quality.REDSHIFT_UNKNOWN
    work.quality.add(source, stream.rows, flags, skip=on_bad_row == "skip")
    predictions = Predictions.of_partition(
        source,
        stream.rows,
        stream.magnitudes,
        predicted,
        np.where(known, true, np.float32(np.nan)),
        quality=flags,
        columns=stream.columns,
    )
    return predictions.where((flags & UNPREDICTABLE) == 0) if on_bad_row == "skip" else predictions


def _bad_row(stream: PartitionStream, index: int, flags: Flags) -> PartitionMalformed:
    reasons = describe(Quality(int(next(flag for flag in flags if flag & UNPREDICTABLE) & UNPREDICTABLE)))
    where = f"{stream.name}: row {stream.rows[index]} cannot be judged"
    return PartitionMalformed(f"{where}, as {reasons}. Mend it, or set on_bad_row to flag or skip")


def _batches(partitions: Iterable[tuple[str, Callable[[], Opened]]], batch_size: int) -> Generator[Batch, None, None]:
    for source, opened in partitions:
        with opened() as stream:
            for images in stream.images(batch_size) if len(stream) else [np.empty((0, *IMAGE), np.float32)]:
                yield Batch(source, stream, images)


def _timed(batches: Iterator[Batch], work: Work) -> Iterator[Batch]:
    while True:
        started = time.perf_counter()
        batch = next(batches, None)
        work.read_s += time.perf_counter() - started
        if batch is None:
            return
        yield batch
