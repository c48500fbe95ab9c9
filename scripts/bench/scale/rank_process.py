"""The process of a rank: the real function, whose engine answers at once, and whose partitions are made as it reads.

It reads the item of the manifest, and answers how long the function took, and how much of memory and processor.

    python -m scripts.bench.scale.rank_process '{"folder": "/tmp/x", "rows": 10000, "partitions": 20}'
"""

import contextlib
import json
import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lambda_image import process
from lambda_image.data.distributions import SCORES
from lambda_image.data.partition import write_partition
from lambda_image.data.sizes import Sizes
from lambda_image.handlers.invocation import Collaborators
from lambda_image.handlers.rank import RankFunction
from lambda_image.model.calibrated import CalibratedEngine
from lambda_image.model.calibration import RedshiftCalibration
from lambda_image.model.engine_files import Device
from lambda_image.results import Phases
from lambda_image.settings import HandlerSettings
from lambda_image.storage import ObjectStore, Requests

DATA = "data"  # the bucket of the partitions
SIZES = Sizes(bands=1, side=1)  # as images leave memory after their batch, their size does not matter
TEMPLATES = 8  # different partitions, which take turns
LONGEST_MS = 900_000


class FirstMagnitude:
    """An engine that answers at once, without looking at images."""

    name: str = "instant"
    device: Device = "cpu"
    parameters_mb: float = 0.0
    sizes: Sizes = SIZES

    def predict(self, images: ArrayLike, magnitudes: ArrayLike) -> NDArray[np.float32]:
        del images
        found: NDArray[np.float32] = np.asarray(magnitudes, np.float32)[:, 0] / np.float32(100)
        return found


class MadePartitions(ObjectStore):
    """A bucket whose partitions are copies of a few templates. Their names end in a number."""

    def __init__(self, templates: list[Path], requests: Requests) -> None:
        super().__init__(DATA, requests=requests)
        self._templates = templates

    def open(self, key: str, etag: str | None = None) -> Any:
        """Open the partition of a name, as a store does."""
        return self._templates[int(Path(key).stem.rpartition("-")[2]) % len(self._templates)].open("rb")


def template(seed: int, folder: Path, rows: int) -> Path:
    """Make a partition of galaxies whose redshifts are as good as a survey's."""
    random = np.random.default_rng(seed)
    magnitudes = random.normal(20, 1.5, (rows, SIZES.magnitudes)).astype(np.float32)
    z = FirstMagnitude().predict((), magnitudes)
    true = np.abs(z + 0.02 * random.standard_t(3, rows) * (1 + z))
    file = folder / f"template-{seed}"
    ids = {"objid": random.integers(1 << 60, 1 << 62, rows)}
    write_partition(file, np.ones((rows, *SIZES.image)), magnitudes, true, columns=ids)
    return file


def calibration() -> RedshiftCalibration:
    """Return one that says a normal distribution of every galaxy."""
    count = 1 + SIZES.magnitudes
    layers = [(np.zeros((count, 4)), np.zeros(4))]
    wide, none, one = np.full(count, 100.0), np.zeros(count), np.ones(count)
    return RedshiftCalibration("0" * 64, SIZES.magnitudes, -wide, wide, none, one, layers, 0.02, SCORES)


def main(spec: dict[str, Any]) -> None:
    folder, count = Path(spec["folder"]), min(TEMPLATES, spec["partitions"])
    templates = [template(seed, folder, spec["rows"]) for seed in range(count)]

    def open_store(bucket: str, requests: Requests) -> ObjectStore:
        return MadePartitions(templates, requests) if bucket == DATA else ObjectStore(bucket, requests=requests)

    engine = CalibratedEngine(FirstMagnitude(), calibration())
    settings, outside = HandlerSettings.from_environ(os.environ), Collaborators(open_store=open_store)
    function = RankFunction(settings, engine, Phases(), outside)
    print(json.dumps({"before_mb": process.peak_rss_mb()}), flush=True)
    for line in sys.stdin:
        item = json.loads(line)["item"]
        started, busy = time.perf_counter(), time.process_time()
        with contextlib.redirect_stdout(sys.stderr):  # where functions log
            function({"item": item}, SimpleNamespace(get_remaining_time_in_millis=lambda: LONGEST_MS))
        figures = {
            "seconds": time.perf_counter() - started,
            "cpu_s": time.process_time() - busy,
            "peak_mb": process.peak_rss_mb(),
        }
        print(json.dumps({"figures": figures}), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
