"""How far a plan is off on this machine: runs of 1 to 8 ranks, of which one predicts all others."""

import io
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from rich.table import Table

from lambda_image.data.partition import write_partition
from scripts import execution
from scripts.catalogue.run_source import read_json
from scripts.console import plain_table
from scripts.galaxies import made_galaxies
from scripts.local_cloud import LocalCloud, local_cloud
from scripts.planning.calibration import Calibration, from_records
from scripts.planning.prediction import Case, forecast
from scripts.runs.following import Follower
from scripts.runs.place import place_at
from scripts.runs.run_progress import RunProgress
from scripts.runs.stored_results import StoredResults
from scripts.runs.uploading import upload

WORLDS = (1, 2, 4, 8)
ROWS = (128, 256, 512)  # of a partition: 2.5, 5 and 10 MB
PARTITIONS = 8
REPEATS = 3
MEASURED_AT = (2, 256)  # the world size and rows of the run that predicts the others
TOLERANCE = 0.15
BUCKET = "cosmicai-plan"


@dataclass(frozen=True)
class MeasuredCase:
    """The runs of one case, with what was predicted of them in seconds."""

    world_size: int
    rows: int
    walls_s: Sequence[float]
    predicted_s: float

    @property
    def median_s(self) -> float:
        """The middle one of the measured wall times."""
        return median(self.walls_s)

    @property
    def spread_s(self) -> float:
        """Between the shortest and the longest."""
        return max(self.walls_s) - min(self.walls_s)

    @property
    def error(self) -> float:
        """Of the prediction, as a part of what was measured."""
        return self.predicted_s / self.median_s - 1

    @property
    def holds(self) -> bool:
        """Whether the prediction is within the tolerance or the spread of the repeats, whichever is larger."""
        return abs(self.predicted_s - self.median_s) <= max(TOLERANCE * self.median_s, self.spread_s)


Ended = Mapping[str, Any]  # the summary of a run under `summary`, and its ranks' records under `records`


def check(
    say: Callable[[str], None], worlds: Sequence[int] = WORLDS, rows: Sequence[int] = ROWS, repeats: int = REPEATS
) -> tuple[Calibration, list[MeasuredCase]]:
    """Makes runs on this machine, and predicts all of them by one.

    Args:
        say: is told of each run.
        worlds: numbers of ranks, the one of `MEASURED_AT` among them.
        rows: of a partition, likewise.
        repeats: runs of each case. A first one of each world size is not counted, since it warms its workers.

    Returns:
        The constants, and all cases.
    """
    found: dict[tuple[int, int], list[Ended]] = {(world, size): [] for world in worlds for size in rows}
    with tempfile.TemporaryDirectory(prefix="cosmicai-") as scratch:
        files = {size: _partitions(Path(scratch) / str(size), size) for size in rows}
        for world in worlds:
            with local_cloud(world, lambda _event: None) as cloud:
                _measure(cloud, world, files, repeats, found, say)
    first = found[MEASURED_AT][0]
    measured = from_records(first["records"], first["summary"]["wall_s"], MEASURED_AT[0], PARTITIONS)
    return measured, [
        MeasuredCase(
            world,
            size,
            [one["summary"]["wall_s"] for one in ended],
            forecast(measured, Case(size * PARTITIONS, PARTITIONS, world, measured.memory_mb, local=True)).wall_s,
        )
        for (world, size), ended in found.items()
    ]


def _measure(
    cloud: LocalCloud,
    world: int,
    files: Mapping[int, Sequence[Path]],
    repeats: int,
    found: Mapping[tuple[int, int], list[Ended]],
    say: Callable[[str], None],
) -> None:
    place = place_at(cloud, BUCKET)
    for size, some in files.items():
        upload(place.client("s3"), some, BUCKET, str(size))
    cloud.wait_until_ready()
    smallest = min(files)
    for number in range(repeats + 1):
        for size in files if number else (smallest,):
            say(f"{world} ranks, {size} galaxies in a partition, {f'run {number}' if number else 'warming up'}")
            given = {"bucket": BUCKET, "data_prefix": str(size), "world_size": world, "batch_size": 128}
            name = execution.new_name("plan", datetime.now(UTC))
            started = execution.begin(place, name, given)
            Follower(place, started, RunProgress(io.StringIO(), []), lookout=cloud.lookout()).follow()
            results = StoredResults(place.client("s3"), BUCKET, started.result_path)
            if number:
                records = [read_json(results, f"{rank}.json") for rank in range(world)]
                found[world, size].append({"summary": read_json(results, "summary.json"), "records": records})


def _partitions(folder: Path, rows: int) -> list[Path]:
    folder.mkdir()
    rng = np.random.default_rng(rows)
    files = [folder / f"{number}.safetensors" for number in range(1, PARTITIONS + 1)]
    for file in files:
        write_partition(file, *made_galaxies(rows, rng))
    return files


def check_table(cases: Sequence[MeasuredCase]) -> Table:
    """Makes the table of predicted and measured times."""
    heads = ("ranks", "galaxies in a partition", "predicted", "measured", "least to most", "error")
    table = plain_table("", (), heads)
    for one in cases:
        span = f"{min(one.walls_s):.2f} to {max(one.walls_s):.2f} s"
        error = f"{one.error:+.0%}{'' if one.holds else ' !'}"
        cells = (f"{one.predicted_s:.2f} s", f"{one.median_s:.2f} s", span, error)
        table.add_row(str(one.world_size), str(one.rows), *cells)
    return table
