"""A rank with so many galaxies, whose engine answers at once. What it wrote is read back."""

import hashlib
import json
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from lambda_image.data.table_file import read_batches
from lambda_image.events import parse
from lambda_image.manifest import Slice, assignments, predictions_key, quantiles_key, result_key
from lambda_image.results import DIGEST_BYTES
from scripts.bench.errors import BenchmarkError
from scripts.bench.scale.plan import ScalePlan
from scripts.bench.scale.processes import start_process, start_server
from scripts.bench.scale.rank_process import DATA
from scripts.bench.scale.rank_server import WrittenObjects
from scripts.bench.scale.run_server import ARN, BUCKET, PATH
from scripts.bench.scale.summarize_part import READ, WRITTEN
from scripts.series import Round

TABLE, MB = "table_mb", 2**20


def rank_round(plan: ScalePlan, galaxies: int, limit_s: float) -> Round:
    """Run a rank once, from its claim to its record.

    Args:
        plan: How many of them a partition has.
        galaxies: How many the rank has.
        limit_s: The longest that it may take, in seconds.

    Raises:
        BenchmarkError: It failed, or what it wrote is wrong.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="cosmicai-"))
        server = start_server(stack, "rank_server", {"folder": folder}, limit_s)
        spec = {"folder": folder, "rows": min(plan.rows, galaxies), "partitions": -(-galaxies // plan.rows)}
        rank = start_process(stack, "the rank", "rank_process", spec, server.answer()["port"], limit_s)
        before_mb = rank.answer()["before_mb"]
        rank.tell(item=item_of(galaxies, plan.rows))
        figures = rank.answer()["figures"]
        server.tell()
        counts = server.answer()
        size = check_written(WrittenObjects(Path(folder)), galaxies, plan.rows)
        return {
            **figures,
            "before_mb": before_mb,
            TABLE: size / MB,
            READ: counts.pop("out_bytes") / MB,
            WRITTEN: counts.pop("in_bytes") / MB,
            **{name: float(count) for name, count in counts.items()},
        }


def item_of(galaxies: int, rows: int) -> dict[str, Any]:
    """Return the item of the manifest of a run with one rank, which has so many galaxies in partitions of `rows`."""
    event = {"bucket": BUCKET, "data_bucket": DATA, "data_prefix": "galaxies", "result_path": PATH}
    whole, rest = divmod(galaxies, rows)
    slices = [Slice(f"galaxies/part-{number:05d}.safetensors") for number in range(whole)]
    if rest:
        slices.append(Slice(f"galaxies/part-{whole:05d}.safetensors", (0, rest)))
    (item,) = assignments(parse(event, ARN), [slices], "00" * 32, time.time())
    return item.to_json()


def check_written(written: WrittenObjects, galaxies: int, rows: int) -> int:
    """Make sure that the rank's record names its table, and that each galaxy has its row in both tables, in order.

    Args:
        written: What the rank has left.
        galaxies: How many it had.
        rows: How many of them were in a partition.

    Returns:
        The bytes of the table of predictions.

    Raises:
        BenchmarkError: It is not so.
    """
    facts = json.loads(written.find(result_key(PATH, 0)) or b"{}").get("predictions")
    if not facts or facts["key"] != predictions_key(PATH, 0):
        raise BenchmarkError("the rank left no record that names its table")
    file = written.file(facts["key"])
    with file.open("rb") as table:
        digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
        while piece := table.read(MB):
            digest.update(piece)
    if (file.stat().st_size, digest.hexdigest()) != (facts["bytes"], facts["blake2b"]):
        raise BenchmarkError("the rank's table is not the one that its record names")
    for name in (predictions_key(PATH, 0), quantiles_key(PATH, 0)):
        _check_rows(written.file(name), galaxies, rows)
    return file.stat().st_size


def _check_rows(file: Path, galaxies: int, rows: int) -> None:
    """Rows of partitions count from 0, so that the order of all galaxies is known."""
    at = 0
    with file.open("rb") as table:
        for batch in read_batches(table):
            expected = np.arange(at, at + batch.num_rows)
            names = batch["source"].to_pylist()
            places = np.fromiter((int(name[-17:-12]) for name in names), np.int64, len(names))
            if not np.array_equal(places * rows + batch["row"].to_numpy(), expected):
                raise BenchmarkError(f"{file.name} has other rows than galaxies from row {at:,} on")
            at += batch.num_rows
    if at != galaxies:
        raise BenchmarkError(f"{at:,} of {galaxies:,} galaxies are in a table")
