"""From partitions to predictions: batch by batch through an engine, with every step timed by a clock."""

import time
from collections.abc import Callable, Iterator

import numpy as np

from lambda_image.model.engine import Engine
from lambda_image.partition import PartitionStream
from lambda_image.predictions import Predictions
from lambda_image.results import Work


def infer(
    stream: PartitionStream,
    source: str,
    engine: Engine,
    batch_size: int,
    work: Work,
    progress: Callable[[Work], None],
) -> Predictions:
    """Predictions for every row of `stream`, the partition `source`; adds to `work` and reports it after each batch."""
    redshifts = [np.empty(0, np.float32)]
    done = 0
    for images in _timed(stream.images(batch_size), work):
        magnitudes = stream.magnitudes[done : done + len(images)]
        started, cpu_started = time.perf_counter(), time.process_time()
        redshifts.append(engine.predict(images, magnitudes))
        work.inference_s += time.perf_counter() - started
        work.inference_cpu_s += time.process_time() - cpu_started
        work.batches += 1
        work.samples += len(images)
        work.bits += 8 * (images.nbytes + magnitudes.nbytes)
        done += len(images)
        progress(work)
    return Predictions.of_partition(
        source, stream.start, stream.magnitudes, np.concatenate(redshifts), stream.redshifts
    )


def _timed(batches: Iterator[np.ndarray], work: Work) -> Iterator[np.ndarray]:
    while True:
        started = time.perf_counter()
        batch = next(batches, None)
        work.read_s += time.perf_counter() - started
        if batch is None:
            return
        yield batch
