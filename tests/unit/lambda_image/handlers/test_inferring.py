"""What a rank infers, what it goes on from, and how it ends in time."""

import threading

import pytest

from lambda_image.errors import DeadlineExceeded, StorageUnavailable
from lambda_image.handlers.inferring import Download, Inferring
from lambda_image.handlers.rank import RECORD_TIME_S
from lambda_image.partition_tables import PartitionTables
from lambda_image.storage import ObjectStore
from tests.unit.lambda_image.handlers.rank_stage import NOW, RECORD, ROWS, TIME_LEFT_S, Stage


def test_a_download_is_told_as_a_rate_and_in_words():
    download = Download("s3://b/1", 1000, 50.0)
    assert download.rate(5000, 52.0) == (2000.0, "4,000 bytes in 2.0 s, which are 2,000.0 B/s")
    assert download.rate(1000, 50.0)[0] == 0.0


def test_what_ends_the_inference_early_is_raised_after_the_batch_at_which_it_is_seen():
    stage = Stage(partitions=("d/1", "d/2"))

    def check() -> None:
        raise StorageUnavailable("the claim failed")

    store = ObjectStore("b", client=stage.s3)  # type: ignore[arg-type]
    inferring = Inferring(
        stage.assignment, store, PartitionTables(stage.objects()), NOW + 1, stage.clock, lambda phase, **fields: None
    )
    with pytest.raises(StorageUnavailable, match="the claim failed"):
        inferring.infer(stage.engine, check, lambda place, part: None)  # type: ignore[arg-type]
    assert inferring.work.batches == 1


def test_all_partitions_but_the_last_are_kept_while_the_next_are_inferred():
    stage, kept = Stage(partitions=("d/1", "d/2", "d/3")), []
    store = ObjectStore("b", client=stage.s3)  # type: ignore[arg-type]
    inferring = Inferring(
        stage.assignment, store, PartitionTables(stage.objects()), NOW + 1, stage.clock, lambda phase, **fields: None
    )
    inferring.infer(stage.engine, lambda: None, lambda place, part: kept.append(place))  # type: ignore[arg-type]
    assert (kept, list(inferring.finished)) == ([0, 1], [0, 1, 2])


def test_a_retry_goes_on_from_what_was_finished():
    stage = Stage(partitions=("d/1", "d/2", "d/3"))
    stage.s3.unavailable.add("d/3")
    with pytest.raises(StorageUnavailable):
        stage.invoke()
    stage.s3.unavailable.clear()
    stage.logged.clear()
    stage.invoke(attempt=1)
    assert [entry["object"] for entry in stage.events("phase") if entry["phase"] == "download"] == ["d/3"]
    assert stage.table().redshift.tolist() == [20.0] * ROWS + [21.0] * ROWS + [22.0] * ROWS
    record = stage.json(RECORD)
    assert (record["attempt"], record["samples"], record["rows"]["in"]) == (1, 3 * ROWS, 3 * ROWS)
    assert (record["num_batches"], record["error"]) == (6, None)


def test_a_rank_ends_before_its_functions_timeout_and_names_what_it_waited_for():
    stage = Stage(partitions=("d/1", "d/2", "d/3"))
    stage.clock.steps = iter([NOW] * 12 + [NOW + TIME_LEFT_S - RECORD_TIME_S] * 10_000)
    with pytest.raises(
        DeadlineExceeded, match=r"rank 1 ran out of its function's time in the \w+ of s3://b/d/\d"
    ) as ended:
        stage.invoke()
    assert (ended.value.phase, ended.value.transient) == ("inference", True)
    assert "B/s" in str(ended.value) or "samples/s" in str(ended.value)
    assert stage.json(RECORD)["error"].startswith("DeadlineExceeded: ")
    assert stage.json(RECORD)["gather_error"] is None  # the next attempt may bring the part
    assert stage.communicator.withdrawn == []


def test_a_download_that_does_not_end_is_named_with_its_rate_and_what_is_done_is_kept():
    stage = Stage(partitions=("d/1", "d/2"))
    over = threading.Event()
    stage.s3.silent["d/2"] = over
    try:
        with pytest.raises(DeadlineExceeded, match=r"in the download of s3://b/d/2: .* B/s\. 1 of 2 partit") as ended:
            stage.invoke(time_left_s=0.4)
    finally:
        over.set()
    assert (ended.value.phase, ended.value.object, ended.value.rate) == ("download", "s3://b/d/2", 0.0)
    assert stage.json(RECORD)["error"].startswith("DeadlineExceeded: ")
    (kept,) = [key for key in stage.s3.objects if key.startswith("r/attempts/1/")]
    assert stage.table(kept).redshift.tolist() == [20.0] * ROWS
