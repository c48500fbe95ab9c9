"""The result objects of a run, and the record and the part of one rank. No I/O.

Under a run's result path lie
    manifest.json               an array with one item for each rank (manifest.py), by Init
    shares/<random>.jsonl       the run's key and each rank's partitions (shares.py), by Init
    attempts/<rank>/<attempt>/<n>.parquet
                                what an attempt of a rank has finished while it works on (stretches.py)
    predictions/<rank>.parquet  the predictions of a rank, by the first of its attempts that is complete; of a rank
                                that was never complete, what it had finished, by Summarize
    quantiles/<rank>.parquet    the distributions p(z) of the same galaxies, by the rank, where its weights have a
                                calibration. They are never gathered
    <rank>.json                 the record of a rank, by the rank, after its predictions; until then, which attempt is
                                at work (register.py)
    predictions.parquet         all predictions, by rank 0 after a complete gather of tables, otherwise by Summarize
    combined_data.json          the records of the ranks that had galaxies, likewise; Summarize adds the times that a
                                rank knows after the gather only
    summary.json                the run as a whole (summary.py), by Summarize, last of all

A rank's record has the published keys with the meaning that they had, so that the published tools read it. Those tools
multiply `throughput_bps` and `sample_persec` by `total_cpu_time (seconds)` to have bits and samples, and therefore all
three come from one clock. It is the seconds by the clock in the engine, `Work.inference_s`. The published system took
the total of PyTorch's profiler over its operators, which are durations by the clock in the calling thread: what further
threads do meanwhile is not added. Its users, too, call it the execution time, compare it with the wall time of whole
runs, and multiply it by the price of a second. The processor seconds of all threads stand beside it under a name of our
own, `inference_cpu_s`. docs/results.md lists what else is measured in another way.

A record also names the way by which the rank's part travelled to rank 0. It is written after the predictions that it
describes, so that a record that can be read is the proof that they are whole.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from lambda_image.data.table_shape import TableShape
from lambda_image.data.tally import RowTally
from lambda_image.errors import cut
from lambda_image.json_text import parse_json
from lambda_image.manifest import Assignment
from lambda_image.record_shape import is_sound
from lambda_image.request_times import RequestTimes
from lambda_image.statistics import without_sketches

Record = dict[str, Any]

MB = 2**20
SELF, STORAGE = "self", "storage"  # transports beside those of the communicator: rank 0's own part; by way of S3
DIGEST_BYTES = 16
# What a run may write under its result path, beside its manifest.
RESULT_NAME = re.compile(
    r"(manifest|summary|combined_data|gather_ended|\d+)\.json|predictions\.parquet|(predictions|quantiles)/\d+\.parquet"
    r"|attempts/\d+/\d+/\d+\.parquet|shares/[0-9a-f]+\.jsonl"
)


@dataclass
class Work:
    """What a rank has done so far, over all its partitions."""

    samples: int = 0
    batches: int = 0
    bits: int = 0  # of the images and magnitudes that it inferred
    read_s: float = 0.0  # waiting for a batch; reading during inference is not in it
    first_batch_s: float = 0.0
    inference_s: float = 0.0  # in the engine, by the clock; the first batch included
    inference_cpu_s: float = 0.0  # the same, processor seconds of all threads
    quality: RowTally = field(default_factory=RowTally)
    empty_partitions: list[str] = field(default_factory=list)  # those that were read and hold no galaxies

    def merge(self, other: "Work") -> None:
        """Adds what was done on partitions that come behind these."""
        for name in WORK_SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.first_batch_s = self.first_batch_s or other.first_batch_s
        self.quality.merge(other.quality)
        self.empty_partitions = [*self.empty_partitions, *other.empty_partitions]

    def since(self, earlier: "Work") -> "Work":
        """Takes out what was done since this work was as `earlier` says."""
        sums = {name: getattr(self, name) - getattr(earlier, name) for name in WORK_SUMS}
        return Work(
            **sums,
            first_batch_s=0.0 if earlier.first_batch_s else self.first_batch_s,
            quality=self.quality.since(earlier.quality),
            empty_partitions=self.empty_partitions[len(earlier.empty_partitions) :],
        )

    def to_json(self) -> dict[str, Any]:
        """Gives the work as a stretch's metadata have it."""
        return {**asdict(self), "quality": self.quality.to_json()}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Work":
        """Reads what `to_json` gives."""
        return cls(**{**content, "quality": RowTally.from_json(content["quality"])})


WORK_SUMS = ("samples", "batches", "bits", "read_s", "inference_s", "inference_cpu_s")


@dataclass
class Phases:
    """Seconds that each step of a rank took. `cold_start_s` and its three parts are 0 in a warm environment.

    `join_s` and `connect_s` pass in the background of the other steps. They are None where a rank did not join or
    connect.
    """

    interpreter_s: float = 0.0
    imports_s: float = 0.0
    model_s: float = 0.0
    cold_start_s: float = 0.0  # the three together: from the process's start until the model is loaded
    download_s: float = 0.0
    first_batch_s: float = 0.0  # of the inference: an engine may prepare itself for what it is given first
    inference_s: float = 0.0
    write_s: float = 0.0
    join_s: float | None = None  # until the rendezvous server let the rank in
    connect_s: float | None = None  # from learning of rank 0 until the channel to it was proven
    gather_s: float = 0.0
    wait_s: float = 0.0  # of the gather: for the parts of others, or for the rank above to take this rank's
    total_s: float = 0.0


@dataclass(frozen=True)
class Usage:
    """What a rank took of its environment. S3 requests are counted until the record is written."""

    peak_rss_mb: float
    model_mb: float
    memory_size_mb: int
    engine: str
    device: str
    s3_puts: int
    s3_gets: int
    s3_bytes_in: int
    s3_times: RequestTimes
    engine_damage: str | None = None  # why another engine than the compiled one predicted, where that is damaged
    weights: str | None = None  # the run's own, with their SHA-256; None for those in the image
    architecture: str = "x86_64"  # of the processor, by which Lambda's time has its price


def digest(data: bytes | memoryview) -> str:
    """Computes the BLAKE2b digest by which a record names its predictions, as 32 hexadecimal digits."""
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).hexdigest()


def rank_record(
    assignment: Assignment,
    attempt: int,
    work: Work,
    phases: Phases,
    usage: Usage,
    predictions: dict[str, Any] | None,
    transport: str,
    *,
    statistics: Mapping[str, Any] | None = None,
    error: str | None = None,
    gather_error: str | None = None,
    nat: str | None = None,
    tries: int = 0,
    distributions: dict[str, Any] | None = None,
) -> Record:
    """Makes the content of `<rank>.json`.

    Args:
        assignment: the rank's item of the manifest.
        attempt: how many attempts of the rank began before.
        work: what the rank did.
        phases: how long each step took, in seconds.
        usage: what it took of its environment.
        predictions: what `table_facts` says of the table that the rank has written; None where it has written none.
        transport: how its part travelled to rank 0: SELF, STORAGE, or a transport of the communicator.
        statistics: what `Statistics` says of the same table.
        error: why the rank failed. What it had finished lies in its stretches.
        gather_error: why its part travelled by way of storage although it was to be gathered.
        nat: what the NAT before the rank does (a value of comm.connecting.nat.Nat); None for a rank that did not join.
        tries: how often the state machine had tried the rank before, refused starts included.
        distributions: what handlers/describing.py says of `quantiles/<rank>.parquet`; None without a calibration.
    """
    seconds, keys, times = work.inference_s, [part.key for part in assignment.partitions], usage.s3_times
    batch_mb = assignment.batch_size * (work.bits / 8 / work.samples if work.samples else 0) / MB
    return {
        "total_cpu_time (seconds)": seconds,
        "total_cpu_memory (MB)": usage.peak_rss_mb,
        "total_process_memory (MB)": usage.peak_rss_mb,
        "library_overhead_memory (MB)": usage.peak_rss_mb - usage.model_mb - batch_mb,
        "total_image_memory (MB)": batch_mb,
        "total_model_memory (MB)": usage.model_mb,
        "execution_time (seconds/batch)": seconds * assignment.batch_size / work.samples if work.samples else 0.0,
        "num_batches": work.batches,
        "batch_size": assignment.batch_size,
        "engine": usage.engine,
        "engine_damage": usage.engine_damage,
        "weights": usage.weights,
        "architecture": usage.architecture,
        "device": usage.device,
        "throughput_bps": work.bits / seconds if seconds else 0.0,
        "sample_persec": work.samples / seconds if seconds else 0.0,
        "result_path": assignment.result_path,
        "data_path": keys if len(keys) > 1 else keys[0] if keys else None,
        "s3_num_requests": times.count,
        "s3_total_time": times.total_s,
        "s3_avg_time": times.total_s / times.count if times.count else None,
        "s3_min_time": times.shortest_s,
        "s3_max_time": times.longest_s,
        "s3_first_request_time": times.first_request_at,
        "s3_last_response_time": times.last_response_at,
        "run_id": assignment.run_id,
        "execution": assignment.execution,
        "rank": assignment.rank,
        "world_size": assignment.world_size,
        "attempt": attempt,
        "tries": tries,
        "adopted_by": None,
        "samples": work.samples,
        "rows": work.quality.to_json(),
        "bits": work.bits,
        "inference_cpu_s": work.inference_cpu_s,
        "partitions": [asdict(part) for part in assignment.partitions],
        "empty_partitions": work.empty_partitions,
        "transport": transport,
        "error": None if error is None else cut(error),
        "gather_error": None if gather_error is None else cut(gather_error),
        "nat": nat,
        "phases": asdict(phases),
        "memory_size_mb": usage.memory_size_mb,
        "s3": {"puts": usage.s3_puts, "gets": usage.s3_gets, "bytes_in": usage.s3_bytes_in},
        "predictions": predictions,
        "statistics": statistics,
        "distributions": distributions,
    }


def combined_line(record: Record) -> bytes | None:
    """Makes what `combined_data.json` has of a rank, in a line of its own.

    The published tools average over all records in it, and the published system wrote none for a rank without data.

    Args:
        record: the rank's.

    Returns:
        JSON without what only Summarize needs, or None where the rank had no galaxies.
    """
    if not record["samples"]:
        return None
    statistics = record.get("statistics")
    shown = {**record, "statistics": None if statistics is None else without_sketches(statistics)}
    return json.dumps(shown, allow_nan=False).encode()


def combined_data(lines: Iterable[bytes | None]) -> Iterator[bytes]:
    """Puts together the content of `combined_data.json`, an array with a record in each line.

    Args:
        lines: what `combined_line` gives of one rank after another.
    """
    separator = b"[\n"
    for line in lines:
        if line is not None:
            yield separator + line
            separator = b",\n"
    yield b"[]" if separator == b"[\n" else b"\n]"


def belongs(record: object, assignment: Assignment, rank: int | None = None) -> bool:
    """Tells whether `record` is that of a rank in this run, since an earlier run may have left one in its place.

    What is damaged so that it cannot be read as a record is nobody's.

    Args:
        record: what was found.
        assignment: the item of the manifest of any rank of the run.
        rank: the rank; None for that of the assignment.
    """
    return (
        isinstance(record, Mapping)
        and record.get("execution") == assignment.execution
        and record.get("rank") == (assignment.rank if rank is None else rank)
        and is_sound(record)
    )


def is_complete(record: object) -> bool:
    """Tells whether `record` is that of an attempt that has finished all its partitions, and names their table."""
    return (
        isinstance(record, Mapping) and record.get("error") is None and isinstance(record.get("predictions"), Mapping)
    )


def table_facts(key: str, size: int, blake2b: str, shape: TableShape) -> dict[str, Any]:
    """Makes the part of a record that names its table, so that no other can be taken for it, and describes it.

    Args:
        key: where the table lies.
        size: its bytes.
        blake2b: its digest.
        shape: its columns.
    """
    return {"key": key, "bytes": size, "blake2b": blake2b, **shape.to_json()}


def pack(record: Record, predictions: bytes) -> bytes:
    """Makes the part that travels to rank 0: the record's length (4 bytes, big endian), the record, the table.

    Args:
        record: the rank's, whose sketches stay at home.
        predictions: its table as a Parquet file.
    """
    shown = {**record, "statistics": without_sketches(record["statistics"])} if record.get("statistics") else record
    text = json.dumps(shown).encode()
    return len(text).to_bytes(4, "big") + text + predictions


def unpack(part: bytes | bytearray | memoryview) -> tuple[Record, memoryview]:
    """Takes a part apart, whose table is read once to see whether it is whole.

    Returns:
        The record, and the predictions as a Parquet file, which is where the part is.

    Raises:
        ValueError: `pack` did not give this part, or it changed on the way.
    """
    view = memoryview(part)
    size = 4 + int.from_bytes(view[:4], "big")
    record, predictions = parse_json(bytes(view[4:size])), view[size:]
    named = record.get("predictions", {}).get("blake2b") if isinstance(record, dict) else None
    if named is None or named != digest(predictions):
        raise ValueError("a part whose predictions are not those that its record describes")
    return record, predictions
