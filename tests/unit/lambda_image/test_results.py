import json

import numpy as np
import pytest

from lambda_image.data.predictions import Predictions
from lambda_image.events import parse
from lambda_image.manifest import Slice, assignments
from lambda_image.results import (
    Failure,
    Phases,
    Usage,
    Work,
    belongs,
    digest,
    message_of,
    pack,
    rank_record,
    summarise,
    unpack,
)

USAGE = Usage(500.0, 60.0, 3072, "eager", "cpu", s3_puts=2, s3_gets=3, s3_bytes_in=100)
TABLE = b"the table"


def manifest(world_size: int = 2):
    request = parse({"bucket": "b", "data_prefix": "d", "rendezvous_endpoint": "h:1", "batch_size": 4}, "run-1")
    return assignments(request, [[Slice(f"d/{rank}.pt")] for rank in range(world_size)], "00" * 32, 100.0)


def record(rank: int, samples: int = 10, transport: str = "direct"):
    bits = 8 * samples * 5 * (32 * 32 + 1) * 4
    work = Work(samples, batches=3, bits=bits, inference_s=2.0, inference_cpu_s=3.5)
    phases = Phases(cold_start_s=1.0, inference_s=2.0, total_s=4.0)
    return rank_record(manifest()[rank], 0, work, phases, USAGE, TABLE, transport)


def test_a_record_says_what_was_measured():
    content = record(1)
    assert content["sample_persec"] == 5.0
    assert content["execution_time (seconds/batch)"] == pytest.approx(2 / 3)
    assert content["total_cpu_time (seconds)"] == 3.5
    assert content["throughput_bps"] == content["bits"] / 2
    assert content["total_image_memory (MB)"] == pytest.approx(4 * 5 * 1025 * 4 / 2**20)
    assert content["data_path"] == "d/1.pt"
    assert content["predictions"] == {
        "key": "results/run-1/predictions/1.parquet",
        "bytes": len(TABLE),
        "blake2b": digest(TABLE),
    }


def test_a_rank_without_galaxies_has_a_record_too():
    idle = rank_record(manifest()[0], 0, Work(), Phases(), USAGE, TABLE, "self")
    assert (idle["samples"], idle["sample_persec"], idle["execution_time (seconds/batch)"]) == (0, 0, 0)
    assert idle["nat"] is None
    json.dumps(idle, allow_nan=False)


def test_only_this_runs_record_belongs():
    item = manifest()[1]
    assert belongs(record(1), item)
    assert not belongs({**record(1), "execution": "arn:of:another:machine:run-1"}, item)
    assert not belongs(record(0), item)
    assert not belongs([], item)


def test_a_part_travels_whole_or_not_at_all():
    part = pack(record(0), TABLE)
    assert unpack(part) == (record(0), TABLE)
    assert unpack(bytearray(part)) == (record(0), TABLE)
    with pytest.raises(ValueError, match="not those that its record describes"):
        unpack(part[:-1] + b"X")
    for length in range(len(part)):
        with pytest.raises(ValueError):
            unpack(part[:length])


def predictions(count: int) -> Predictions:
    z = np.linspace(0.05, 0.2, count)
    return Predictions.of_partition("d/0.pt", 0, np.zeros((count, 5)), z + 0.01, z)


def test_a_complete_run():
    records = [record(0, transport="self"), record(1)]
    summary = summarise(
        manifest(), records, predictions(20), [], tolerated_failures=0, wall_s=5.0, memory_size_mb=512, warnings=["w"]
    )
    content = summary.to_json()
    assert (content["status"], content["gathered"]) == ("succeeded", True)
    assert content["transports"] == {"direct": 1, "self": 1}
    assert (content["samples"], content["samples_with_truth"], content["samples_per_s"]) == (20, 20, 4.0)
    assert (content["partitions"], content["partitions_completed"]) == (2, 1)
    assert content["mae"] == pytest.approx(0.01, rel=1e-4)
    assert content["bits_per_s"] == sum(r["bits"] for r in records) / 5
    assert content["cost_usd"] == content["cost"]["total_usd"] > 0
    assert content["warnings"] == ["w"]
    json.dumps(content, allow_nan=False)


@pytest.mark.parametrize(("tolerated", "status"), [(0, "failed"), (1, "succeeded")])
def test_a_run_that_lost_a_rank(tolerated: int, status: str):
    lost = Failure(1, "PartitionMissing", "s3://b/d/1.pt does not exist")
    summary = summarise(
        manifest(),
        [record(0, transport="self")],
        predictions(10),
        [lost],
        tolerated_failures=tolerated,
        wall_s=5.0,
        memory_size_mb=512,
    )
    assert (summary.status, summary.gathered, summary.ranks_completed) == (status, False, 1)
    assert str(summary.failed_ranks[0]) == "rank 1: PartitionMissing: s3://b/d/1.pt does not exist"


def test_the_message_is_found_in_a_cause():
    assert message_of('{"errorMessage": "no", "errorType": "E", "stackTrace": []}') == "no"
    assert message_of("plain words") == "plain words"
    assert message_of('["a list"]') == '["a list"]'


def test_a_magnitude_that_stands_for_a_missing_one_is_a_warning_and_keeps_its_row():
    found = predictions(20)
    found.magnitudes[7, 2] = -9999
    given = {"tolerated_failures": 0, "wall_s": 5.0, "memory_size_mb": 512}
    summary = summarise(manifest(), [record(0), record(1)], found, [], **given)
    (warning,) = summary.warnings
    assert "outside 0 to 40 in 1 of 20 galaxies" in warning
    assert warning.endswith(f"row {found.row[7]} of {found.source[7]}")
    assert summary.samples == summary.accuracy.samples == 20


def test_why_there_was_no_gather_is_a_warning_once():
    records = [{**record(rank, transport="storage"), "gather_error": "no server at h:1"} for rank in (0, 1)]
    given = {"tolerated_failures": 0, "wall_s": 5.0, "memory_size_mb": 512, "warnings": ["w"]}
    assert summarise(manifest(), records, predictions(20), [], **given).warnings == ["w", "no gather: no server at h:1"]
