"""The process of one rank: the real handler with an engine that answers at once, and partitions that are generated.

It reads the event of a rank. If its inference is to be held, it says so before the last batch is answered, and goes on
with its next line. At the end it answers how long the handler took, and how much of memory, S3 and descriptors.

    python -m scripts.bench.scale.run_rank_process '{"galaxies": 10000, "data_bucket": "sky", "held": true}'
"""

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lambda_image import process
from lambda_image.data.sizes import PUBLISHED
from lambda_image.handlers.invocation import Collaborators
from lambda_image.handlers.preparing import prepare
from lambda_image.handlers.rank import RankFunction
from lambda_image.results import Phases
from lambda_image.settings import HandlerSettings
from lambda_image.storage import ObjectStore, Requests
from scripts.bench.scale.descriptors import DescriptorCount, limit_descriptors
from scripts.bench.scale.generated_partition import GeneratedStore

TIME_LEFT_MS = 899_000  # of a Lambda's 900 s
PREPARED = ("lambda_image.comm.communicator", "cryptography.hazmat.primitives.ciphers.aead", "arro3.io")


class HeldEngine:
    """Predicts at once, but for the last batch of a rank whose inference is held.

    Attributes:
        held_cpu_s: Processor seconds that the process took meanwhile, as a clock has them.
    """

    name, device, parameters_mb, sizes = "instant", "cpu", 0.0, PUBLISHED

    def __init__(
        self, galaxies: int, hold: Callable[[], None] | None, clock: Callable[[], float] = time.process_time
    ) -> None:
        self.held_cpu_s = 0.0
        self._left, self._hold, self._clock = galaxies, hold, clock

    def predict(self, images: ArrayLike, magnitudes: ArrayLike) -> NDArray[np.float32]:
        """Return a redshift for each galaxy, which its first magnitude gives."""
        redshifts = np.asarray(magnitudes, np.float32)[:, 0] / np.float32(100)
        self._left -= len(redshifts)
        if self._left <= 0 and self._hold is not None:
            began = self._clock()
            self._hold()
            self.held_cpu_s = self._clock() - began
        return redshifts


class CountedStores:
    """Opens the buckets of a rank, and keeps what they count."""

    def __init__(self, data_bucket: str, galaxies: int) -> None:
        self._data_bucket, self._galaxies = data_bucket, galaxies
        self._requests: list[Requests] = []

    def open(self, bucket: str, requests: Requests) -> ObjectStore:
        """Open one."""
        if all(one is not requests for one in self._requests):
            self._requests.append(requests)
        if bucket == self._data_bucket:
            return GeneratedStore(bucket, self._galaxies, requests)
        return ObjectStore(bucket, requests=requests)

    @property
    def count(self) -> int:
        """Return how many requests there were."""
        return sum(one.puts + one.gets + one.heads + one.lists for one in self._requests)


def main(spec: dict[str, Any]) -> None:
    limit_descriptors()
    tell = sys.stdout

    def hold() -> None:
        print(json.dumps({"held": True}), file=tell, flush=True)
        sys.stdin.readline()

    loading = prepare({"AWS_LAMBDA_RUNTIME_API": "bench"}, *PREPARED)  # as a Lambda does in its cold start
    if loading is not None:
        loading.join()
    stores = CountedStores(spec["data_bucket"], spec["galaxies"])
    descriptors = DescriptorCount()
    engine = HeldEngine(
        spec["galaxies"], hold if spec["held"] else None, lambda: time.process_time() - descriptors.cpu_s
    )
    function = RankFunction(
        HandlerSettings.from_environ(os.environ),
        engine,  # type: ignore[arg-type]
        Phases(),
        Collaborators(open_store=stores.open),
    )
    print(json.dumps({"before_mb": process.peak_rss_mb()}), flush=True)
    event = json.loads(sys.stdin.readline())
    started, busy = time.perf_counter(), time.process_time()
    with contextlib.redirect_stdout(sys.stderr), descriptors:  # stderr: where functions log
        function(event, SimpleNamespace(get_remaining_time_in_millis=lambda: TIME_LEFT_MS))
    figures = {
        "seconds": time.perf_counter() - started,
        "cpu_s": time.process_time() - busy,
        "held_cpu_s": engine.held_cpu_s,
        "peak_mb": process.peak_rss_mb(),
        "descriptors": descriptors.most,
        "requests": stores.count,
    }
    print(json.dumps({"figures": figures}), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
