import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest

from lambda_image.data.predictions import Predictions
from lambda_image.data.tally import RowTally
from lambda_image.errors import InvalidEvent, RunSuperseded
from lambda_image.handlers.combining import CombinedTable
from lambda_image.handlers.summarize import reported_failures, summarize
from lambda_image.manifest import Assignment, Run, Slice, predictions_key, result_key, stretch_key
from lambda_image.ownership import RunObjects
from lambda_image.rank_table import RankTable
from lambda_image.request_times import RequestTimes
from lambda_image.results import Phases, Usage, Work, combined_data, combined_line, rank_record
from lambda_image.storage import ObjectStore
from lambda_image.stretch_file import Finished, encode
from lambda_image.summary import Failure, Summary
from tests.unit.lambda_image.handlers.fake_s3 import FakeS3
from tests.unit.lambda_image.test_results import manifest

PATH = "results/run-1"
RUN = Run(
    execution="run-1",
    bucket="b",
    manifest_key=f"{PATH}/manifest.json",
    result_path=PATH,
    world_size=3,
    tolerated_failures=0,
    started_at=100.0,
    warnings=(),
)


def table(item: Assignment, rows: int = 3) -> Predictions:
    z = np.full(rows, 0.1 * (item.rank + 1))
    return Predictions.of_partition(item.partitions[0].key, 0, np.zeros((rows, 5)), z, z)


def record(item: Assignment, transport: str = "direct", rows: int = 3) -> dict:
    usage = Usage(1.0, 1.0, 512, "eager", "cpu", 1, 1, 1, RequestTimes())
    work = Work(rows, 1 if rows else 0, 8 * rows, quality=RowTally(rows, rows))
    return rank_record(item, 0, work, Phases(), usage, facts(item, rows), transport, statistics=told(item, rows))


def facts(item: Assignment, rows: int = 3) -> dict:
    return RankTable.of([table(item, rows)]).facts(predictions_key(PATH, item.rank))


def told(item: Assignment, rows: int = 3) -> dict:
    return RankTable.of([table(item, rows)]).statistics.to_json()


def written(*ranks: int, world_size: int = 3, idle: Sequence[int] = ()) -> FakeS3:
    """A bucket as it is when `ranks` have written their objects, of which the `idle` ones had no galaxies."""
    s3 = FakeS3()
    items = manifest(world_size)
    s3.objects[RUN.manifest_key] = json.dumps([item.to_json() for item in items]).encode()
    for rank in ranks:
        rows = 0 if rank in idle else 3
        s3.objects[result_key(PATH, rank)] = json.dumps(record(items[rank], rows=rows)).encode()
        s3.objects[predictions_key(PATH, rank)] = table(items[rank], rows).to_parquet()
    return s3


def gathered(s3: FakeS3, world_size: int = 3, idle: Sequence[int] = ()) -> None:
    """Adds what rank 0 writes after a complete gather."""
    items = [item for item in manifest(world_size) if item.rank not in idle]
    put_combined(s3, [record(item, rows=0 if item.rank in idle else 3) for item in manifest(world_size)])
    lines = [combined_line(record(item)) for item in items]
    s3.objects[f"{PATH}/combined_data.json"] = b"".join(combined_data(lines))


def put_combined(s3: FakeS3, records: list[dict]) -> None:
    """The table that rank 0 makes of those that the records name."""
    combined, key = CombinedTable(), f"{PATH}/predictions.parquet"
    for one in records:
        combined.add(one)
    objects = RunObjects(ObjectStore("b", client=s3), RUN.execution, PATH)  # type: ignore[arg-type]
    combined.write(objects, key, [s3.objects[one["predictions"]["key"]] for one in records])


def gathered_records(s3: FakeS3) -> list[dict]:
    return json.loads(s3.objects[f"{PATH}/combined_data.json"])


def put_gathered(s3: FakeS3, records: list[dict]) -> None:
    lines = [json.dumps(one).encode() for one in records]
    s3.objects[f"{PATH}/combined_data.json"] = b"".join(combined_data(lines))


def judge(s3: FakeS3, reported: dict[int, Failure] | None = None, run: Run = RUN) -> Summary:
    store = ObjectStore("b", client=s3, missing=InvalidEvent)  # type: ignore[arg-type]
    return summarize(store, run, reported or {}, wall_s=10.0, memory_mb=512)


def test_a_complete_gather_is_taken_as_it_is():
    s3 = written(0, 1, 2)
    gathered(s3)
    before = dict(s3.objects)
    summary = judge(s3)
    assert (summary.status, summary.gathered, summary.samples, summary.wall_s) == ("succeeded", True, 9, 10.0)
    content = json.loads(s3.objects.pop(f"{PATH}/summary.json"))
    assert (content["samples"], content["predictions"]) == (9, "predictions.parquet")
    assert s3.objects == before


def test_a_complete_gather_in_which_no_record_travelled_is_known_by_the_root_and_put_together():
    s3, whole = written(0, 1, 2), written(0, 1, 2)
    s3.objects[result_key(PATH, 0)] = json.dumps(record(manifest(3)[0], "self")).encode()
    summary = judge(s3)
    assert (summary.gathered, summary.transports) == (True, {"self": 1, "direct": 2})
    assert [one["transport"] for one in gathered_records(s3)] == ["self", "direct", "direct"]
    gathered(whole)
    assert s3.objects[f"{PATH}/predictions.parquet"] == whole.objects[f"{PATH}/predictions.parquet"]
    assert judge(s3) == summary  # also where Summarize is tried again


def test_what_a_rank_knows_only_after_the_gather_is_in_the_combined_data():
    s3 = written(0, 1, 2)
    gathered(s3)
    late = record(manifest(3)[1])
    late["phases"]["gather_s"] = late["phases"]["total_s"] = 60.0
    late["s3"]["puts"], late["s3_num_requests"] = 12, 15
    waited, before = result_key(PATH, 1), judge(s3).cost
    s3.objects[waited] = json.dumps(late).encode()
    assert judge(s3).cost.total_usd > before.total_usd
    assert [entry["phases"]["gather_s"] for entry in json.loads(s3.objects[f"{PATH}/combined_data.json"])] == [0, 60, 0]
    combined = json.loads(s3.objects[f"{PATH}/combined_data.json"])[1]
    assert (combined["s3"]["puts"], combined["s3_num_requests"]) == (12, 15)
    for broken in (b"{", b"[" * 100_000):  # the rank died while it wrote: what was gathered of it counts
        s3.objects[waited] = broken
        gathered(s3)
        assert (judge(s3).status, judge(s3).gathered) == ("succeeded", True)


@pytest.mark.parametrize("idle", [(1,), (0, 2), (0, 1, 2)])
@pytest.mark.parametrize("complete", [True, False])
def test_ranks_without_galaxies_are_counted_and_left_out_of_the_combined_data(idle: tuple[int, ...], complete: bool):
    s3 = written(0, 1, 2, idle=idle)
    if complete:
        gathered(s3, idle=idle)
    table = s3.objects.get(f"{PATH}/predictions.parquet")
    summary = judge(s3)
    assert (summary.status, summary.gathered, summary.ranks_completed) == ("succeeded", complete, 3)
    assert summary.transports == {"direct" if complete else "storage": 3}
    assert summary.samples == 3 * (3 - len(idle))
    assert summary.cost == judge(written(0, 1, 2)).cost  # they are billed all the same
    combined = json.loads(s3.objects[f"{PATH}/combined_data.json"])
    assert [entry["rank"] for entry in combined] == [rank for rank in range(3) if rank not in idle]
    assert not complete or s3.objects[f"{PATH}/predictions.parquet"] == table


@pytest.mark.parametrize("claim", ["nothing", "an error", "another run's"])
def test_a_rank_that_the_combined_data_lack_must_say_itself_that_it_had_no_galaxies(claim: str):
    s3 = written(0, 1, 2, idle=[1])
    gathered(s3, idle=[1])
    own = json.loads(s3.objects.pop(result_key(PATH, 1)))
    if claim == "an error":
        s3.objects[result_key(PATH, 1)] = json.dumps({**own, "error": "PartitionMalformed: d/1.pt"}).encode()
    elif claim == "another run's":
        s3.objects[result_key(PATH, 1)] = json.dumps({**own, "execution": "run-0"}).encode()
    summary = judge(s3)
    assert (summary.status, summary.gathered) == ("failed", False)
    assert [failure.rank for failure in summary.failed_ranks] == [1]


def test_without_a_gather_the_run_is_rebuilt_and_says_so():
    s3 = written(0, 1, 2)
    summary = judge(s3)
    assert (summary.status, summary.gathered, summary.transports) == ("succeeded", False, {"storage": 3})
    combined = Predictions.from_parquet(s3.objects[f"{PATH}/predictions.parquet"])
    assert combined.source.tolist() == ["d/0.pt"] * 3 + ["d/1.pt"] * 3 + ["d/2.pt"] * 3
    assert [entry["rank"] for entry in json.loads(s3.objects[f"{PATH}/combined_data.json"])] == [0, 1, 2]


@pytest.mark.parametrize("what", ["another run's", "a rank short", "rows short", "no table", "not JSON"])
def test_a_combined_result_that_does_not_match_is_rebuilt(what: str):
    s3 = written(0, 1, 2)
    gathered(s3)
    combined = gathered_records(s3)
    if what == "another run's":
        combined[1]["execution"] = "run-0"
    elif what == "a rank short":
        combined.pop()
    elif what == "rows short":
        put_combined(s3, [record(manifest(3)[0])])
    elif what == "no table":
        del s3.objects[f"{PATH}/predictions.parquet"]
    put_gathered(s3, combined)
    if what == "not JSON":
        s3.objects[f"{PATH}/combined_data.json"] = b"{"
    summary = judge(s3)
    assert (summary.status, summary.samples) == ("succeeded", 9)
    assert summary.gathered is (what in ("rows short", "no table"))  # the records have come all the same
    assert len(Predictions.from_parquet(s3.objects[f"{PATH}/predictions.parquet"])) == 9


def test_a_missing_rank_fails_the_run_with_what_the_map_said_of_it():
    summary = judge(written(0, 2), {1: Failure(1, "Runtime.ExitError", "killed")})
    assert (summary.status, summary.samples, summary.ranks_completed) == ("failed", 6, 2)
    assert summary.failed_ranks == [Failure(1, "Runtime.ExitError", "killed")]


def test_a_missing_rank_that_nobody_reported_is_named_all_the_same():
    (failure,) = judge(written(0, 2)).failed_ranks
    assert (failure.rank, failure.error) == (1, "PartMissing")
    assert "s3://b/results/run-1/1.json was not written" in failure.cause


def test_failures_may_be_tolerated():
    assert judge(written(0, 2), run=replace(RUN, tolerated_failures=1)).status == "succeeded"


def test_a_rank_whose_part_is_there_has_not_failed_whatever_was_reported():
    assert judge(written(0, 1, 2), {1: Failure(1, "PeerClosed", "late")}).failed_ranks == []


def test_what_an_earlier_run_left_does_not_count():
    s3 = written(0, 1, 2)
    stale = json.loads(s3.objects[result_key(PATH, 1)])
    s3.objects[result_key(PATH, 1)] = json.dumps({**stale, "execution": "run-0"}).encode()
    assert [failure.rank for failure in judge(s3).failed_ranks] == [1]


def test_predictions_that_are_not_those_of_the_record_do_not_count():
    s3 = written(0, 1, 2)
    s3.objects[predictions_key(PATH, 2)] = table(manifest(3)[2], rows=2).to_parquet()
    (failure,) = judge(s3).failed_ranks
    assert (failure.rank, "is not what was written" in failure.cause) == (2, True)


def test_a_record_that_cannot_be_read_does_not_count():
    s3 = written(0, 1, 2)
    s3.objects[result_key(PATH, 1)] = b'{"run_id'
    (failure,) = judge(s3).failed_ranks
    assert (failure.rank, failure.cause) == (1, "s3://b/results/run-1/1.json is not JSON")


@pytest.mark.parametrize(
    "damage",
    [{"rows": None}, {"samples": "3"}, {"phases": {}}, {"predictions": {"key": 3}}, {"bits": float("nan")}, {"s3": []}],
    ids=str,
)
def test_a_record_with_a_damaged_value_costs_no_other_rank_its_predictions(damage: dict):
    s3 = written(0, 1, 2)
    s3.objects[result_key(PATH, 1)] = json.dumps(record(manifest(3)[1]) | damage).encode()
    summary = judge(s3, run=replace(RUN, tolerated_failures=1))
    assert [failure.rank for failure in summary.failed_ranks] == [1]
    assert (summary.status, summary.samples) == ("succeeded", 6)
    assert len(Predictions.from_parquet(s3.objects[f"{PATH}/predictions.parquet"])) == 6


@pytest.mark.parametrize("lost", ["predictions", "s3", "rows", "phases"])
def test_a_gathered_record_that_is_none_has_the_run_rebuilt(lost: str):
    s3 = written(0, 1, 2)
    gathered(s3)
    records = gathered_records(s3)
    del records[1][lost]
    put_gathered(s3, records)
    summary = judge(s3)
    assert (summary.status, summary.samples, summary.gathered) == ("succeeded", 9, False)


@pytest.mark.parametrize("content", [b"null", b"[]", b"{}", b"3", b'[{"rank": 0}]', b"[null]"])
def test_what_is_no_manifest_is_refused(content: bytes):
    s3 = written(0, 1, 2)
    s3.objects[RUN.manifest_key] = content
    with pytest.raises(InvalidEvent):
        judge(s3)


def test_a_rank_that_failed_keeps_what_it_had_finished():
    s3 = written(0, 1, 2)
    done = json.loads(s3.objects[result_key(PATH, 1)])
    s3.objects[result_key(PATH, 1)] = json.dumps({**done, "error": "PartitionMalformed: row 3"}).encode()
    summary = judge(s3)
    assert (summary.status, summary.ranks_completed, summary.samples) == ("failed", 2, 9)
    assert summary.failed_ranks == [Failure(1, "PartIncomplete", "PartitionMalformed: row 3")]


def test_no_rank_at_all():
    summary = judge(written())
    assert (summary.status, summary.samples, len(summary.failed_ranks)) == ("failed", 0, 3)


def test_another_runs_manifest_is_refused():
    with pytest.raises(InvalidEvent, match="manifest of the run run-1, not run-9"):
        judge(written(0), run=replace(RUN, execution="run-9"))


def test_failures_are_read_from_the_maps_outcomes():
    cause = json.dumps({"errorMessage": "gone", "errorType": "PartitionMissing", "stackTrace": []})
    outcomes = [{"rank": 0}, None, {"rank": 2, "error": {"Error": "PartitionMissing", "Cause": cause}}]
    assert reported_failures({"ranks": outcomes}) == {2: Failure(2, "PartitionMissing", "gone")}
    assert reported_failures({"map_error": {"Error": "States.DataLimitExceeded"}}) == {}


# --- what the attempts of a rank have left


def unfinished(item: Assignment, *places: int) -> bytes:
    """A stretch with partitions of `item`, of three rows each."""
    parts = {
        place: Finished(table(replace(item, partitions=(item.partitions[place],))), Work(3, quality=RowTally(3, 3)))
        for place in places
    }
    usage = dict(vars(Usage(1.0, 1.0, 512, "eager", "cpu", 1, 1, 1, RequestTimes())))
    usage.pop("s3_times")
    return encode(parts, item.execution, {"attempt": 2, "usage": usage, "phases": asdict(Phases())})


def with_two_partitions(s3: FakeS3) -> list[Assignment]:
    items = [replace(item, partitions=(*item.partitions, Slice(f"d/{item.rank}b.pt"))) for item in manifest(3)]
    s3.objects[RUN.manifest_key] = json.dumps([item.to_json() for item in items]).encode()
    return items


def test_finished_partitions_of_a_rank_that_was_killed_are_kept_and_counted_once():
    s3 = written(0, 2)
    items = with_two_partitions(s3)
    for attempt in range(3):
        s3.objects[stretch_key(PATH, 1, attempt, 0)] = unfinished(items[1], 0)
    s3.objects[result_key(PATH, 1)] = json.dumps({"execution": "run-1", "rank": 1, "attempt": 2}).encode()
    summary = judge(s3, {1: Failure(1, "Sandbox.Timedout", "Task timed out")})
    assert (summary.status, summary.samples, summary.rows["in"], summary.partitions_completed) == ("failed", 9, 9, 5)
    assert summary.failed_ranks == [Failure(1, "Sandbox.Timedout", "Task timed out")]
    assert len(Predictions.from_parquet(s3.objects[predictions_key(PATH, 1)])) == 3


def test_a_failure_that_nobody_reported_says_how_much_is_finished():
    s3 = written(0, 2)
    s3.objects[stretch_key(PATH, 1, 0, 0)] = unfinished(with_two_partitions(s3)[1], 1)
    (failure,) = judge(s3).failed_ranks
    assert failure.cause == "1 of 2 partitions are finished: s3://b/results/run-1/1.json was not written"


def test_a_rank_all_of_whose_partitions_are_finished_has_not_failed_though_no_attempt_could_say_so():
    s3 = written(0, 2)
    items = with_two_partitions(s3)
    s3.objects[stretch_key(PATH, 1, 0, 0)] = unfinished(items[1], 0)
    s3.objects[stretch_key(PATH, 1, 1, 0)] = unfinished(items[1], 0, 1)
    summary = judge(s3, {1: Failure(1, "Runtime.ExitError", "killed")})
    assert (summary.status, summary.samples, summary.failed_ranks) == ("succeeded", 12, [])


def test_the_table_of_the_attempt_that_counts_gets_its_place_wherever_it_was_written():
    for complete in (True, False):
        s3 = written(0, 1, 2)
        if complete:
            gathered(s3)
        own = record(manifest(3)[1])
        own["predictions"]["key"] = stretch_key(PATH, 1, 1, 0)
        s3.objects[result_key(PATH, 1)] = json.dumps(own).encode()
        s3.objects[own["predictions"]["key"]] = s3.objects[predictions_key(PATH, 1)]
        s3.objects[predictions_key(PATH, 1)] = table(manifest(3)[1], rows=1).to_parquet()
        if complete:
            put_gathered(s3, [record(manifest(3)[0]), own, record(manifest(3)[2])])
        assert judge(s3).gathered is complete
        assert s3.objects[predictions_key(PATH, 1)] == s3.objects[own["predictions"]["key"]]


def test_a_later_attempt_that_took_over_a_gathered_part_is_told():
    s3 = written(0, 1, 2)
    gathered(s3)
    own = {**record(manifest(3)[1]), "adopted_by": 1}
    s3.objects[result_key(PATH, 1)] = json.dumps(own).encode()
    summary = judge(s3)
    assert summary.gathered
    assert [warning.split(":")[0] for warning in summary.warnings] == ["rank 1"]


def test_a_gather_that_has_another_attempts_part_than_the_one_that_counts_is_not_taken():
    s3 = written(0, 1, 2)
    gathered(s3)
    other = table(manifest(3)[1]).where(np.array([True, True, True]))
    later = RankTable.of([replace(other, redshift=other.redshift + np.float32(2**-20))])
    s3.objects[predictions_key(PATH, 1)] = other = later.content
    own = {**record(manifest(3)[1]), "predictions": later.facts(predictions_key(PATH, 1))}
    s3.objects[result_key(PATH, 1)] = json.dumps(own).encode()
    summary = judge(s3)
    assert (summary.status, summary.gathered) == ("succeeded", False)
    rebuilt = Predictions.from_parquet(s3.objects[f"{PATH}/predictions.parquet"]).redshift[3:6]
    assert np.array_equal(rebuilt, Predictions.from_parquet(other).redshift)


def test_a_summarize_that_was_left_behind_replaces_nothing():
    s3 = written(0, 1, 2)
    content = s3.objects[RUN.manifest_key]
    later = json.dumps([{**item.to_json(), "execution": "run-2"} for item in manifest(3)]).encode()

    class Overtaken(FakeS3):
        def put_object(self, **given: Any) -> dict[str, str]:
            self.objects[RUN.manifest_key] = later
            self.objects[f"{PATH}/predictions.parquet"] = b"run-2"
            return super().put_object(**given)

    overtaken = Overtaken()
    overtaken.objects = s3.objects | {RUN.manifest_key: content}
    with pytest.raises(RunSuperseded, match="belongs to the run run-2"):
        judge(overtaken)
    assert overtaken.objects[f"{PATH}/predictions.parquet"] == b"run-2"
    assert f"{PATH}/summary.json" not in overtaken.objects


# --- clocks


def test_nothing_is_computed_from_a_wall_time_that_is_unknown():
    store = ObjectStore("b", client=written(0, 1, 2), missing=InvalidEvent)  # type: ignore[arg-type]
    summary = summarize(store, RUN, {}, wall_s=None, memory_mb=512)
    content = json.loads(store.get(f"{PATH}/summary.json"))
    assert (content["wall_s"], content["samples_per_s"], content["bits_per_s"]) == (None, None, None)
    assert content["cost"]["rendezvous_usd"] is None
    assert summary.cost.total_usd == pytest.approx(
        summary.cost.lambda_usd + summary.cost.s3_usd + summary.cost.step_functions_usd
    )
    assert summary.cost.total_usd > 0


# --- many galaxies


@pytest.mark.parametrize("complete", [True, False])
def test_a_summarize_that_is_tried_again_gives_the_same_bits(complete: bool):
    s3 = written(0, 1, 2)
    if complete:
        gathered(s3)
    judge(s3)
    once = dict(s3.objects)
    judge(s3)
    assert s3.objects == once


def test_above_the_limit_the_summary_names_the_folder_of_the_ranks_tables():
    s3 = written(0, 1, 2)
    items = [replace(item, combine_limit=8) for item in manifest(3)]
    s3.objects[RUN.manifest_key] = json.dumps([item.to_json() for item in items]).encode()
    summary = judge(s3)
    assert (summary.predictions, summary.samples, summary.accuracy.samples) == ("predictions/", 9, 9)
    assert f"{PATH}/predictions.parquet" not in s3.objects
    s3.objects[predictions_key(PATH, 2)] = b"not it"
    failed = judge(s3)
    assert ([failure.rank for failure in failed.failed_ranks], failed.samples) == ([2], 6)


def test_a_rank_that_ends_while_its_finished_partitions_are_put_together_is_complete():
    """As one that still is at work when its run was stopped, whose results somebody asks for."""
    s3 = written(0, 2)
    item = with_two_partitions(s3)[1]
    s3.objects[stretch_key(PATH, 1, 0, 0)] = unfinished(item, 0)
    s3.objects[result_key(PATH, 1)] = json.dumps({"execution": "run-1", "rank": 1, "attempt": 0}).encode()
    objects, lists = RunObjects(ObjectStore("b", client=s3), RUN.execution, PATH), s3.list_objects_v2  # type: ignore[arg-type]

    def end_meanwhile(**wanted: Any) -> dict[str, Any]:
        found, s3.list_objects_v2 = lists(**wanted), lists  # type: ignore[method-assign]
        objects.put(predictions_key(PATH, 1), table(item, 6).to_parquet(), within_run="keep")
        s3.objects[result_key(PATH, 1)] = json.dumps(record(item, rows=6)).encode()
        return found

    s3.list_objects_v2 = end_meanwhile  # type: ignore[method-assign]
    summary = judge(s3)
    assert (summary.status, summary.samples) == ("succeeded", 12)
    assert s3.objects[predictions_key(PATH, 1)] == table(item, 6).to_parquet()
