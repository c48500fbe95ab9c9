import json

import pytest

from lambda_image.events import parse
from lambda_image.manifest import Slice, assignments
from lambda_image.results import Phases, Usage, Work, belongs, digest, pack, rank_record, unpack

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
