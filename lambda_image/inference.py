"""The way from partitions to predictions. Batches are read ahead of the engine, and every step is timed."""

import math
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np

from lambda_image.data.partition import PartitionStream
from lambda_image.data.predictions import Predictions
from lambda_image.data.quality import UNPREDICTABLE, Flags, OnBadRow, Quality, describe, known_redshifts
from lambda_image.errors import PartitionMalformed
from lambda_image.model.engine import Answers, Engine, UncertainEngine, predict_judged
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
    images: np.ndarray  # [n, bands, side, side]


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
    answers: list[Answers] = []
    done = 0
    with read_ahead(_batches(partitions, batch_size), BATCHES_AHEAD, deadline, clock) as batches:
        for batch in _timed(batches, work):
            stream, images = batch.stream, batch.images
            magnitudes = stream.magnitudes[done : done + len(images)]
            if len(images):
                started, cpu_started = time.perf_counter(), time.process_time()
                answers.append(predict_judged(engine, images, magnitudes))
                judged = answers[-1].flags
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
                yield _table(batch.source, stream, answers, work, on_bad_row)
                answers, done = [], 0


def _table(
    source: str, stream: PartitionStream, answers: list[Answers], work: Work, on_bad_row: OnBadRow
) -> Predictions:
    """The predictions of a partition that is done. Its rows are counted in `work`."""
    predicted = np.concatenate([np.empty(0, np.float32), *(answer.redshifts for answer in answers)])
    flags = np.concatenate([np.empty(0, np.int32), *(answer.flags for answer in answers)])
    errors = [answer.errors for answer in answers if answer.errors is not None]
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
        redshift_err=np.concatenate(errors) if errors else None,
    )
    return predictions.where((flags & UNPREDICTABLE) == 0) if on_bad_row == "skip" else predictions


def no_predictions(engine: Engine) -> Predictions:
    """Makes the table of a rank without galaxies.

    Args:
        engine: what would have predicted.

    Returns:
        A table of no rows, with the columns that the engine's tables have.
    """
    none = np.empty(0, np.float32)
    errors = none if isinstance(engine, UncertainEngine) else None
    return Predictions.of_partition("", 0, np.empty((0, engine.sizes.magnitudes)), none, None, redshift_err=errors)


def _bad_row(stream: PartitionStream, index: int, flags: Flags) -> PartitionMalformed:
    reasons = describe(Quality(int(next(flag for flag in flags if flag & UNPREDICTABLE) & UNPREDICTABLE)))
    where = f"{stream.name}: row {stream.rows[index]} cannot be judged"
    return PartitionMalformed(f"{where}, as {reasons}. Mend it, or set on_bad_row to flag or skip")


def _batches(partitions: Iterable[tuple[str, Callable[[], Opened]]], batch_size: int) -> Generator[Batch, None, None]:
    for source, opened in partitions:
        with opened() as stream:
            for images in stream.images(batch_size) if len(stream) else [_no_images(stream)]:
                yield Batch(source, stream, images)


def _no_images(stream: PartitionStream) -> np.ndarray:
    return np.empty((0, *stream.sizes.image), np.float32)


def _timed(batches: Iterator[Batch], work: Work) -> Iterator[Batch]:
    while True:
        started = time.perf_counter()
        batch = next(batches, None)
        work.read_s += time.perf_counter() - started
        if batch is None:
            return
        yield batch
