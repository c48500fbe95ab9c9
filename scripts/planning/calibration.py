"""What one measured run tells of others. No I/O but the results."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

from lambda_image.errors import InvalidEvent
from lambda_image.results import is_complete
from scripts.catalogue.run_source import ResultSource, read_json
from statemachine.local.settings import ACCOUNT


@dataclass(frozen=True)
class Calibration:
    """The constants of a run, by which another is predicted. Times are in seconds, sizes in bytes."""

    local: bool  # whether its ranks shared a machine
    cpu_s: float  # processor time of one galaxy in the engine
    cores: float  # that all ranks together had while they inferred
    read_s: float  # time to read a byte: of all ranks together if they share a machine, otherwise of one
    start_s: float  # from the start of a rank's process until it can work
    fixed_s: float  # of a rank, beside reading, inferring and the gather: claiming, writing, recording
    gather_s: float  # of a rank that finds all others ready
    overhead_s: float  # of the state machine: from its start to that of the ranks, and from their end to Summarize
    galaxy_bytes: float
    part_bytes: float  # of one galaxy in a table of predictions
    distribution_bytes: float  # of one galaxy in a table of redshift distributions, which never travels
    puts: float  # of a rank
    gets: float  # of a partition
    peak_mb: float  # memory of a rank
    ranks: int
    galaxies: int
    partitions: int
    memory_mb: float


def calibrate(source: ResultSource) -> Calibration:
    """Takes the constants from the results of a run.

    Args:
        source: the results, with a summary and the records of all ranks.

    Raises:
        InvalidEvent: something of that is missing, or the run inferred nothing.
    """
    manifest, summary = read_json(source, "manifest.json") or [], read_json(source, "summary.json")
    records = [record for item in manifest if is_complete(record := read_json(source, f"{item['rank']}.json"))]
    busy = [record for record in records if record["samples"] > 0]
    if summary is None or summary.get("wall_s") is None or len(records) < len(manifest) or not busy:
        problem = (
            f"{source.place} is no complete run: a plan needs a summary with a wall time and a record of each rank"
        )
        raise InvalidEvent(problem)
    return from_records(busy, float(summary["wall_s"]), len(manifest), int(summary["partitions"]))


def from_records(busy: Sequence[Mapping[str, Any]], wall_s: float, ranks: int, partitions: int) -> Calibration:
    """Takes the constants from the records of the ranks that had galaxies.

    Args:
        busy: their records.
        wall_s: seconds from the start of the run until Summarize.
        ranks: how many ranks there were, those without galaxies included.
        partitions: how many partitions they had.
    """
    phases = [record["phases"] for record in busy]
    local = f":{ACCOUNT}:" in str(busy[0]["execution"])
    galaxies = sum(record["samples"] for record in busy)
    cpu_s = sum(record["inference_cpu_s"] for record in busy)
    bytes_in = sum(record["s3"]["bytes_in"] for record in busy)
    reading = [phase["download_s"] for phase in phases]
    # Locally the workers are up when a run begins, and on Lambda they start within it.
    ended = [phase["total_s"] + (0.0 if local else phase["cold_start_s"]) for phase in phases]
    others = ("download_s", "inference_s", "gather_s")
    started = [phase["cold_start_s"] for phase in phases if phase["cold_start_s"] > 0]
    return Calibration(
        local=local,
        cpu_s=cpu_s / galaxies,
        cores=cpu_s / max(phase["inference_s"] for phase in phases),
        read_s=(max(reading) if local else sum(reading)) / bytes_in,
        start_s=mean(started) if started else 0.0,
        fixed_s=mean(phase["total_s"] - sum(phase[name] for name in others) for phase in phases),
        gather_s=min(phase["gather_s"] for phase in phases),
        overhead_s=max(0.0, wall_s - max(ended)),
        galaxy_bytes=sum(record["bits"] for record in busy) / 8 / galaxies,
        part_bytes=sum(record["predictions"]["bytes"] for record in busy) / galaxies,
        distribution_bytes=sum((record.get("distributions") or {"bytes": 0})["bytes"] for record in busy) / galaxies,
        puts=mean(record["s3"]["puts"] for record in busy),
        gets=sum(record["s3"]["gets"] for record in busy) / max(partitions, 1),
        peak_mb=max(record["total_process_memory (MB)"] for record in busy),
        ranks=ranks,
        galaxies=galaxies,
        partitions=partitions,
        memory_mb=max(record["memory_size_mb"] for record in busy),
    )
