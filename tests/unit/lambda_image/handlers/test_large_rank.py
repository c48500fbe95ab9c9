"""A rank with more galaxies than it may have in memory does all that a small one does, and leaves the same bytes."""

from dataclasses import replace

import pytest

from lambda_image import rank_table, stretches
from lambda_image.data.table_file import read_metadata
from lambda_image.errors import RunSuperseded, StorageUnavailable
from lambda_image.handlers.left_behind import Collector
from lambda_image.model.calibrated import CalibratedEngine
from lambda_image.results import digest
from lambda_image.stretch_file import METADATA, decode
from tests.unit.lambda_image.handlers.rank_stage import RECORD, ROWS, TABLE, Stage
from tests.unit.lambda_image.handlers.test_invocation import dies
from tests.unit.lambda_image.handlers.test_two_deliveries import Delivery, check_summary
from tests.unit.lambda_image.model.calibrations import calibration

PARTITIONS = ("d/1", "d/2", "d/3", "d/4")
QUANTILES = "r/quantiles/1.parquet"
WHOLE = [20.0] * ROWS + [21.0] * ROWS + [22.0] * ROWS + [23.0] * ROWS


@pytest.fixture(autouse=True)
def _nothing_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each partition but the last is written when it is finished."""
    monkeypatch.setattr(stretches, "WAITING_BYTES", 0)


def large(stage: Stage) -> Stage:
    """A rank that has no room for any table."""
    environment = stage.function.environment
    engine = CalibratedEngine(stage.engine, calibration())
    stage.function.environment = replace(environment, engine=engine, held_bytes=0)
    return stage


def test_it_leaves_the_same_bytes_as_a_small_one():
    small, stage = large(Stage(partitions=PARTITIONS)), large(Stage(partitions=PARTITIONS))
    small.function.environment = replace(small.function.environment, held_bytes=1 << 30)
    for one in (small, stage):
        one.invoke()
    assert stage.table().redshift.tolist() == WHOLE
    for key in (TABLE, QUANTILES):
        assert stage.s3.objects[key] == small.s3.objects[key], key
    ours, theirs = stage.json(RECORD), small.json(RECORD)
    for name in ("predictions", "statistics", "rows", "samples"):
        assert ours[name] == theirs[name], name
    assert ours["distributions"]["parts"] == theirs["distributions"]["parts"]
    assert ours["s3"]["gets"] == theirs["s3"]["gets"] + 2 * (len(PARTITIONS) - 1)  # the last is in no stretch


def test_what_a_retry_takes_over_gives_the_same_bits():
    whole, stage = large(Stage(partitions=PARTITIONS)), large(Stage(partitions=PARTITIONS))
    whole.invoke()
    stage.s3.unavailable.add("d/4")
    with pytest.raises(StorageUnavailable):
        stage.invoke()
    stage.s3.unavailable.clear()
    stage.invoke(attempt=1)
    for key in (TABLE, QUANTILES):
        assert stage.s3.objects[key] == whole.s3.objects[key], key
    assert stage.json(RECORD)["statistics"] == whole.json(RECORD)["statistics"]
    assert stage.json(RECORD)["distributions"]["parts"] == whole.json(RECORD)["distributions"]["parts"]
    assert stage.json(RECORD)["attempt"] == 1


@pytest.mark.parametrize("first", range(1, 8))
@pytest.mark.parametrize("second", [2, 4, 6])
def test_two_deliveries_of_it_never_mix(first: int, second: int):
    one = large(Stage(partitions=("d/1", "d/2"), world_size=2))
    other = large(Stage.of(one, one.assignment))
    deliveries = (Delivery(one, first, 0, 0.0), Delivery(other, second, 0, 2**-10))
    for step in (Delivery.start, Delivery.finish):
        for delivery in deliveries:
            step(delivery)
    check_summary(one, one.s3.objects[one.json(RECORD)["predictions"]["key"]])


def test_a_table_that_is_too_large_stays_on_s3(monkeypatch: pytest.MonkeyPatch):
    stage = large(Stage(partitions=PARTITIONS))
    monkeypatch.setattr(rank_table, "TRAVELS_BYTES", 100)
    stage.invoke()
    assert stage.communicator.gathered[0]["part"] == b""
    record, content = stage.json(RECORD), stage.s3.objects[TABLE]
    assert record["transport"] == "direct"
    assert (record["predictions"]["bytes"], record["predictions"]["blake2b"]) == (len(content), digest(content))


def test_a_large_table_of_a_lost_attempt_is_adopted_without_being_in_memory(monkeypatch: pytest.MonkeyPatch):
    stage = large(Stage(partitions=PARTITIONS))
    stage.communicator.answer = dies
    with pytest.raises(KeyboardInterrupt):
        stage.invoke()
    monkeypatch.setattr(rank_table, "TRAVELS_BYTES", 100)
    stage.communicator.answer = lambda part: None
    stage.invoke(attempt=1)
    assert stage.communicator.gathered[-1]["part"] == b""
    assert (stage.json(RECORD)["attempt"], stage.json(RECORD)["adopted_by"]) == (0, 1)
    stage.s3.objects[TABLE] = stage.s3.objects[TABLE][:-1] + b"?"
    with pytest.raises(StorageUnavailable, match="is not the table of attempt 0"):
        stage.invoke(attempt=2)


def test_where_another_attempts_table_lies_it_is_a_stretch_by_its_own_name():
    stage = large(Stage(partitions=PARTITIONS))
    stage.objects().put(TABLE, b"another attempt's", within_run="keep")
    stage.invoke()
    named = stage.json(RECORD)["predictions"]
    content = stage.s3.objects[named["key"]]
    assert named["key"] == f"r/attempts/1/0/{len(PARTITIONS) - 1}.parquet"
    assert named["blake2b"] == digest(content)
    assert METADATA in read_metadata(content)
    kept = decode(content, stage.assignment.execution)
    assert kept is not None
    assert {place: len(part.table) for place, part in kept.finished.items()} == dict.fromkeys(range(4), ROWS)
    assert stage.s3.objects[TABLE] == b"another attempt's"


def test_summarize_puts_together_what_such_a_rank_has_finished():
    stage = large(Stage(partitions=PARTITIONS))
    stage.s3.objects["d/4"] = b"no partition"
    with pytest.raises(Exception, match="d/4"):
        stage.invoke()
    left = Collector(stage.objects(), None, {}).collect(stage.assignment)
    assert left.record is not None
    assert stage.table().redshift.tolist() == WHOLE[: 3 * ROWS]
    content = stage.s3.objects[TABLE]
    facts = left.record["predictions"]
    assert (facts["rows"], facts["bytes"], facts["blake2b"]) == (3 * ROWS, len(content), digest(content))
    assert left.statistics.accuracy.counts["without_truth"] == 3 * ROWS
    assert left.finished == PARTITIONS[:3]


def test_a_rank_whose_stretches_another_run_removed_ends_and_leaves_nothing():
    stage = large(Stage(partitions=PARTITIONS))
    stage.lose_the_path(len(PARTITIONS) + 1)  # a claim and three stretches are there: the quantiles are next
    with pytest.raises(RunSuperseded):
        stage.invoke()
    assert stage.results().keys() == {"r/manifest.json"}
