"""From partitions to predictions: batches are read ahead of the engine, and every step is timed by a clock."""

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np

from lambda_image.data.partition import IMAGE, PartitionStream
from lambda_image.data.predictions import Predictions
from lambda_image.model.engine import Engine
from lambda_image.read_ahead import read_ahead
from lambda_image.results import Work

# Read while one is being inferred, so that neither waits for the other and memory does not depend on the partition.
BATCHES_AHEAD = 2

Opened = AbstractContextManager[PartitionStream]


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Rows of one partition, images [n, 5, 32, 32]; no rows, but a batch, where a partition has none for this rank."""

    source: str
    stream: PartitionStream
    images: np.ndarray


def infer(
    partitions: Iterable[tuple[str, Callable[[], Opened]]],
    engine: Engine,
    batch_size: int,
    work: Work,
    progress: Callable[[Work], None],
) -> Iterator[Predictions]:
    """Predictions for every row of each of `partitions` (name and how to open it), a partition at a time and in order.

    The next batch, be it of the next partition, is read while one is inferred. Adds to `work` and reports it after each
    batch. What opening, reading or inferring raises comes after the predictions of the partitions before.
    """
    redshifts: list[np.ndarray] = []
    done = 0
    with read_ahead(_batches(partitions, batch_size), BATCHES_AHEAD) as batches:
        for batch in _timed(batches, work):
            stream, images = batch.stream, batch.images
            magnitudes = stream.magnitudes[done : done + len(images)]
            if len(images):
                started, cpu_started = time.perf_counter(), time.process_time()
                redshifts.append(engine.predict(images, magnitudes))
                work.inference_s += time.perf_counter() - started
                work.first_batch_s = work.first_batch_s or work.inference_s
                work.inference_cpu_s += time.process_time() - cpu_started
                work.batches += 1
                work.samples += len(images)
                work.bits += 8 * (images.nbytes + magnitudes.nbytes)
                done += len(images)
                progress(work)
            if done == len(stream):
                predicted = np.concatenate([np.empty(0, np.float32), *redshifts])
                yield Predictions.of_partition(
                    batch.source, stream.start, stream.magnitudes, predicted, stream.redshifts
                )
                redshifts, done = [], 0


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
