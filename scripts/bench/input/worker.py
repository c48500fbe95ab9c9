"""What a run does with a partition, in a process of its own whose memory is limited.

It reads one line of JSON for each file, and answers by one: a refusal, the counts of a table that it wrote, or a
traceback, which is a failure. PyTorch is not in it, unless it has to predict.
"""

import json
import resource
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lambda_image.data.partition import PartitionStream, open_partition, read_partition
from lambda_image.data.predictions import Predictions
from lambda_image.data.quality import OnBadRow
from lambda_image.data.sizes import Sizes
from lambda_image.errors import RunError
from lambda_image.inference import infer
from lambda_image.metrics import accuracy
from lambda_image.model import SHIPPED_MODEL
from lambda_image.model.engine import Engine, JudgingEngine, load
from lambda_image.results import Work

BATCH_SIZE = 5  # so that a file makes several batches, of which the last is not full
ROUNDING = 1e-5  # of PyTorch, whose last bits depend on where in memory its input lies


def main(spec: dict[str, Any]) -> None:
    engine = load(SHIPPED_MODEL, threads=1)
    engine.predict(np.zeros((1, 5, 32, 32), np.float32), np.full((1, 5), 17, np.float32))  # takes what it needs
    limit = _used_bytes() + spec["memory_mb"] * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    print(json.dumps({"engine": engine.name}), flush=True)
    for line in sys.stdin:
        print(json.dumps(_answer(engine, **json.loads(line))), flush=True)


def _answer(engine: Engine, file: str, rows: list[int] | None, on_bad_row: OnBadRow, table: str) -> dict[str, Any]:
    try:
        answer = _predict(engine, Path(file), rows, on_bad_row, Path(table))
        return answer if rows is not None or on_bad_row != "flag" else {**answer, "whole": _whole(engine, file, table)}
    except RunError as error:
        return {"refused": type(error).__name__, "message": str(error)}
    except Exception:
        return {"traceback": traceback.format_exc()}


def _predict(engine: Engine, file: Path, rows: list[int] | None, on_bad_row: OnBadRow, table: Path) -> dict[str, Any]:
    """As a rank does it, which reads a stream and not a mapped file."""
    work = Work()
    partitions = [(file.name, partial(_opened, file, rows, engine.sizes))]
    parts = list(infer(partitions, engine, BATCH_SIZE, work, lambda work: None, on_bad_row))
    table.write_bytes(Predictions.concatenate(parts).to_parquet())
    predictions = Predictions.from_parquet(table.read_bytes())
    measures = accuracy(predictions.redshift, predictions.redshift_true)
    return {"rows": work.quality.to_json(), "accuracy": asdict(measures)}


@contextmanager
def _opened(file: Path, rows: list[int] | None, sizes: Sizes) -> Iterator[PartitionStream]:
    with file.open("rb") as stream:
        yield open_partition(stream, str(file), rows, sizes)


def _whole(engine: Engine, file: str, table: str) -> str:
    """What Python's front door makes of the same file: the `same` redshifts, `different` ones, or it was `refused`."""
    try:
        galaxies = read_partition(file, sizes=engine.sizes)
    except RunError:
        return "refused"
    judging = JudgingEngine(engine)
    batches = [slice(start, start + BATCH_SIZE) for start in range(0, len(galaxies), BATCH_SIZE)]
    redshifts = [judging.predict(galaxies.images[batch], galaxies.magnitudes[batch]) for batch in batches]
    predictions = Predictions.from_parquet(Path(table).read_bytes())
    rounding = 0.0 if engine.name == "fast" else ROUNDING
    found = np.concatenate([np.empty(0), *redshifts])
    same = np.allclose(found, predictions.redshift, rtol=rounding, atol=rounding, equal_nan=True)
    return "same" if same else "different"


def _used_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
