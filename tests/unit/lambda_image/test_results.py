import json
from copy import deepcopy
from dataclasses import replace
from math import ceil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambda_image.data.table_shape import TableShape
from lambda_image.data.tally import RowTally
from lambda_image.events import parse
from lambda_image.manifest import Slice, assignments
from lambda_image.request_times import RequestTimes
from lambda_image.results import (
    Phases,
    Usage,
    Work,
    belongs,
    combined_data,
    combined_line,
    digest,
    is_complete,
    pack,
    rank_record,
    table_facts,
    unpack,
)

TIMES = RequestTimes(4, 1.0, 0.1, 0.5, 1000.0, 1010.0)
USAGE = Usage(500.0, 60.0, 3072, "eager", "cpu", s3_puts=2, s3_gets=3, s3_bytes_in=100, s3_times=TIMES)
TABLE = b"the table"
NAMED = table_facts("results/run-1/predictions/1.parquet", len(TABLE), digest(TABLE), TableShape(10))


def manifest(world_size: int = 2):
    request = parse({"bucket": "b", "data_prefix": "d", "rendezvous_endpoint": "h:1", "batch_size": 4}, "run-1")
    return list(assignments(request, [[Slice(f"d/{rank}.pt")] for rank in range(world_size)], "00" * 32, 100.0))


def record(rank: int, samples: int = 10, transport: str = "direct"):
    bits = 8 * samples * 5 * (32 * 32 + 1) * 4
    work = Work(samples, batches=3, bits=bits, inference_s=2.0, inference_cpu_s=3.5)
    phases = Phases(cold_start_s=1.0, inference_s=2.0, total_s=4.0)
    return rank_record(manifest()[rank], 0, work, phases, USAGE, NAMED, transport)


def test_a_record_says_what_was_measured():
    content = record(1)
    assert content["sample_persec"] == 5.0
    assert content["execution_time (seconds/batch)"] == pytest.approx(2 / (10 / 4))  # there are 2.5 batches of 4
    assert content["total_cpu_time (seconds)"] == content["phases"]["inference_s"] == 2.0
    assert content["inference_cpu_s"] == 3.5
    assert content["throughput_bps"] == content["bits"] / 2
    assert content["total_image_memory (MB)"] == pytest.approx(4 * 5 * 1025 * 4 / 2**20)
    assert content["data_path"] == "d/1.pt"
    assert content["predictions"] == {
        "key": "results/run-1/predictions/1.parquet",
        "bytes": len(TABLE),
        "blake2b": digest(TABLE),
        **TableShape(10).to_json(),
    }


def test_the_published_plots_find_the_times_of_requests_to_s3():
    content = record(1)
    names = ("num_requests", "total_time", "avg_time", "min_time", "max_time", "first_request_time")
    assert [content[f"s3_{name}"] for name in names] == [4, 1.0, 0.25, 0.1, 0.5, 1000.0]
    assert content["s3_last_response_time"] == 1010.0


def test_every_published_key_is_there_and_of_its_type(shared: Path):
    content = record(1)
    for published in json.loads(next((shared / "reference").glob("published*.json")).read_text()):
        for key, value in published.items():
            assert type(content[key]) is type(value), key


@given(
    st.lists(
        st.tuples(
            st.integers(1, 10**6),  # samples
            st.integers(1, 512),  # batch size
            st.floats(1e-6, 1e5),  # seconds by the clock
            st.floats(0, 1e6),  # processor seconds of all threads
        ),
        min_size=1,
        max_size=5,
    )
)
def test_published_rates_times_the_published_time_are_bits_and_samples_whatever_the_load_and_threads(ranks):
    item, records = manifest()[0], []
    for samples, batch_size, inference_s, cpu_s in ranks:
        work = Work(samples, ceil(samples / batch_size), 164_000 * samples, 0.1, 0.2, inference_s, cpu_s)
        given = (replace(item, batch_size=batch_size), 0, work, Phases(), USAGE, NAMED, "self")
        records.append(json.loads(json.dumps(rank_record(*given))))
    for one in records:
        seconds = one["total_cpu_time (seconds)"]
        assert one["throughput_bps"] * seconds == pytest.approx(one["bits"], rel=1e-6)
        assert one["sample_persec"] * seconds == pytest.approx(one["samples"], rel=1e-6)
        batches = one["samples"] / one["batch_size"]
        assert one["execution_time (seconds/batch)"] * batches == pytest.approx(seconds, rel=1e-6)
    for rate, total in (("throughput_bps", "bits"), ("sample_persec", "samples")):
        product = sum(one[rate] * one["total_cpu_time (seconds)"] for one in records)
        assert product == pytest.approx(sum(one[total] for one in records), rel=1e-6)


def test_the_published_run_is_computed_from_one_clock_as_ours(shared: Path):
    """What is asked of our records holds of the published ones."""
    for one in json.loads(next((shared / "reference").glob("published*.json")).read_text()):
        samples = one["sample_persec"] * one["total_cpu_time (seconds)"]
        assert samples == pytest.approx(round(samples), rel=1e-9)
        bits = one["throughput_bps"] * one["total_cpu_time (seconds)"]
        assert bits == pytest.approx(samples * 5 * (32 * 32 * 32 + 64), rel=1e-9)  # its magnitudes are float64
        batches = samples / one["batch_size"]
        assert one["total_cpu_time (seconds)"] / batches == pytest.approx(one["execution_time (seconds/batch)"])


@pytest.mark.parametrize(
    ("keys", "path"), [([], None), (["d/1.pt"], "d/1.pt"), (["d/1.pt", "d/2.pt"], ["d/1.pt", "d/2.pt"])]
)
def test_several_data_paths_are_a_list_as_published(keys: list[str], path: str | list[str] | None):
    item = replace(manifest()[0], partitions=tuple(map(Slice, keys)))
    assert rank_record(item, 0, Work(), Phases(), USAGE, NAMED, "self")["data_path"] == path


def idle(rank: int):
    return rank_record(manifest(5)[rank], 0, Work(), Phases(), USAGE, NAMED, "self")


def test_a_rank_without_galaxies_has_a_record_too():
    content = idle(0)
    assert (content["samples"], content["sample_persec"], content["execution_time (seconds/batch)"]) == (0, 0, 0)
    assert content["nat"] is None
    json.dumps(content, allow_nan=False)


def put_together(*records: dict) -> list[bytes]:
    content = b"".join(combined_data(map(combined_line, records)))
    json.loads(content)
    return content.splitlines()


def test_the_combined_data_leave_out_ranks_without_galaxies_whose_zeros_would_pull_means_down():
    lines = put_together(record(0), idle(2), record(1), idle(3))
    assert json.loads(b"".join(lines)) == [record(0), record(1)]
    assert len(lines) == 4  # one for each record, so that they can be read one by one
    assert put_together(idle(2)) == put_together() == [b"[]"]


def test_what_only_adding_up_needs_is_in_no_combined_data_and_does_not_travel():
    statistics = {"accuracy": {"samples": 3, "sums": {}, "sketch": "AAAA"}}
    content = {**record(0), "statistics": statistics}
    shown = {"accuracy": {"samples": 3, "sums": {}}}
    assert json.loads(combined_line(content) or b"")["statistics"] == shown
    assert unpack(pack(content, TABLE))[0]["statistics"] == shown
    assert content["statistics"] == statistics


def test_only_this_runs_record_belongs():
    item = manifest()[1]
    assert belongs(record(1), item)
    assert not belongs({**record(1), "execution": "arn:of:another:machine:run-1"}, item)
    assert not belongs(record(0), item)
    assert not belongs([], item)


def test_a_claim_and_a_failed_attempt_are_not_complete():
    assert is_complete(record(0))
    for other in ({}, None, [], {**record(0), "error": "it failed"}, {**record(0), "predictions": None}):
        assert not is_complete(other)


def test_the_work_of_partitions_is_taken_apart_and_put_together():
    def work(seed: int) -> Work:
        tally = RowTally(seed, seed - 1, 1, 0, {"magnitude_bad": 1}, {"magnitude_bad": (f"d/{seed}", seed)})
        return Work(seed, 1, 8 * seed, 0.5 * seed, 0.25 * seed, 2.0 * seed, 3.0 * seed, tally, [f"d/{seed}"])

    total, parts = Work(), []
    for seed in (3, 5, 7):
        before = deepcopy(total)
        total.merge(work(seed))
        parts.append(Work.from_json(json.loads(json.dumps(total.since(before).to_json()))))
    assert [part.samples for part in parts] == [3, 5, 7]
    again = Work()
    for part in parts:
        again.merge(part)
    assert again == total
    assert (total.samples, total.first_batch_s, total.quality.first) == (15, 0.75, {"magnitude_bad": ("d/3", 3)})


def test_a_part_travels_whole_or_not_at_all():
    part = pack(record(0), TABLE)
    assert unpack(part) == (record(0), TABLE)
    assert unpack(bytearray(part)) == (record(0), TABLE)
    with pytest.raises(ValueError, match="not those that its record describes"):
        unpack(part[:-1] + b"X")
    for length in range(len(part)):
        with pytest.raises(ValueError):
            unpack(part[:length])


def test_a_record_that_is_nested_beyond_reason_is_no_part():
    text = b"[" * 100_000
    with pytest.raises(ValueError, match="nested too deeply"):
        unpack(len(text).to_bytes(4, "big") + text)
