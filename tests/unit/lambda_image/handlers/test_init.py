import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lambda_image.data.safetensors_format import write_safetensors
from lambda_image.errors import InvalidEvent, PartitionMalformed, PartitionMissing, StorageUnavailable
from lambda_image.events import parse
from lambda_image.handlers.init import WITHOUT_SERVER, init, planned_width, warn_without_server
from lambda_image.manifest import WAVE_S, Assignment, Run
from lambda_image.partition_names import printable
from lambda_image.shares import complete_all
from lambda_image.storage import ObjectStore
from tests.unit.lambda_image.handlers.fake_s3 import FakeS3

NOW = 1000.0


@pytest.fixture
def s3() -> FakeS3:
    fake = FakeS3()
    fake.objects |= {f"d/{number}.pt": b"galaxies" for number in (1, 2, 10)}
    return fake


def begin(s3: FakeS3, run_id: str = "run-1", now: float = NOW, descriptors: int | None = None, **given: object) -> Run:
    request = parse({"bucket": "b", "data_prefix": "d", "result_path": "r", **given}, run_id)
    store = ObjectStore("b", client=s3, missing=PartitionMissing)  # type: ignore[arg-type]
    return init(request, store, store, store, started_at=now, descriptors=descriptors)


def manifest(s3: FakeS3) -> list[dict]:
    """The items, with their shares."""
    store = ObjectStore("b", client=s3, missing=InvalidEvent)  # type: ignore[arg-type]
    items = [Assignment.from_json(item) for item in json.loads(s3.objects["r/manifest.json"])]
    return [item.to_json() for item in complete_all(items, store)]


def shares(s3: FakeS3) -> set[str]:
    return {key for key in s3.objects if key.startswith("r/shares/")}


def test_the_manifest_has_an_item_per_rank(s3: FakeS3):
    run = begin(s3, world_size=2, colour="red")
    assert [[part["key"] for part in item["partitions"]] for item in manifest(s3)] == [
        ["d/1.pt", "d/2.pt"],
        ["d/10.pt"],
    ]
    assert (run.manifest_key, run.world_size, run.run_id) == ("r/manifest.json", 2, "run-1")
    assert "colour" in run.warnings[0]
    assert "run_key" not in run.to_json()
    keys = {item["run_key"] for item in manifest(s3)}
    assert len(keys) == 1
    (key,) = keys
    assert len(bytes.fromhex(key)) == 32
    # Step Functions shows the items to whoever may read its history.
    assert key not in s3.objects["r/manifest.json"].decode()
    assert "d/1.pt" not in s3.objects["r/manifest.json"].decode()


def test_without_a_world_size_each_partition_has_a_rank(s3: FakeS3):
    assert begin(s3).world_size == 3


def test_nothing_is_written_where_there_is_no_data(s3: FakeS3):
    with pytest.raises(PartitionMissing, match="s3://b/nowhere/"):
        begin(s3, data_prefix="nowhere")
    assert not [key for key in s3.objects if key.startswith("r/")]


def test_the_root_of_a_bucket_wins_over_a_dataset_that_was_left_in_the_input(s3: FakeS3):
    s3.objects |= {f"{number}.pt": b"galaxies" for number in (1, 2)}
    run = begin(s3, data_prefix="", data_path="/tmp/old/one.pt", world_size=1)
    assert [part["key"] for part in manifest(s3)[0]["partitions"]] == ["1.pt", "2.pt"]
    assert run.warnings == (
        "data_path is ignored, because data_prefix says the bucket's root",
        "1 folder (d/) in s3://b/ is not read",
    )


def test_what_is_left_out_is_logged_and_told_to_summarize(s3: FakeS3, capsys: pytest.CaptureFixture[str]):
    s3.objects |= {"d/._1.pt": b"macOS", "d/3.pt": b"", "d/old/1.pt": b"galaxies"}
    run = begin(s3, world_size=1)
    assert [part["key"] for part in manifest(s3)[0]["partitions"]] == ["d/1.pt", "d/2.pt", "d/10.pt"]
    assert run.warnings == (
        "1 hidden file (._1.pt) and 1 folder (old/) in s3://b/d/ are not read",
        "1 of 4 partitions in s3://b/d/ have 0 bytes and no galaxies: 3.pt",
    )
    logged = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [event["message"] for event in logged if event["event"] == "warning"] == list(run.warnings)


@pytest.mark.parametrize("name", ["1\n.pt", "\x1b[31m.pt", "a\u2028b.pt"])
def test_a_key_that_would_break_a_line_is_refused_in_one(s3: FakeS3, name: str):
    s3.objects[f"d/{name}"] = b"galaxies"
    with pytest.raises(InvalidEvent, match="rename it") as raised:
        begin(s3)
    assert printable(raised.value) == str(raised.value)


def test_one_dataset_without_galaxies_is_refused(s3: FakeS3, tmp_path: Path):
    write_safetensors(tmp_path / "empty", without_galaxies())
    s3.objects["d/empty"] = (tmp_path / "empty").read_bytes()
    with pytest.raises(PartitionMalformed, match="s3://b/d/empty: it holds no galaxies"):
        begin(s3, data_prefix=None, data_path="d/empty")


def without_galaxies() -> dict[str, np.ndarray]:
    return {"images": np.empty((0, 5, 32, 32), np.float32), "magnitudes": np.empty((0, 5), np.float32)}


def test_a_result_path_belongs_to_the_run_that_is_at_work_there(s3: FakeS3):
    begin(s3)
    with pytest.raises(InvalidEvent, match="in use by the run run-1"):
        begin(s3, "run-2", NOW + 10)
    assert manifest(s3)[0]["run_id"] == "run-1"
    assert len(shares(s3)) == 1


def test_executions_of_the_same_name_are_two_runs(s3: FakeS3):
    begin(s3, "arn:machine-one:nightly")
    with pytest.raises(InvalidEvent, match="in use by the run nightly"):
        begin(s3, "arn:machine-two:nightly")


def test_the_same_run_that_begins_again_keeps_the_manifest_that_ranks_may_have_by_now(s3: FakeS3):
    begin(s3)
    before = s3.objects["r/manifest.json"]
    s3.objects["d/11.pt"] = b"galaxies"
    before_shares = shares(s3)
    assert begin(s3).world_size == len(manifest(s3)) == 3
    assert shares(s3) == before_shares
    assert s3.objects["r/manifest.json"] == before


def test_a_retry_that_finds_what_an_earlier_try_wrote_lists_and_writes_nothing(s3: FakeS3):
    first = begin(s3, world_size=2, colour="red", file_limit=2)
    before = dict(s3.objects)
    request = parse({"bucket": "b", "data_prefix": "d", "result_path": "r", "world_size": 2}, "run-1")
    store = ObjectStore("b", client=s3, missing=PartitionMissing)  # type: ignore[arg-type]
    assert init(request, store, store, store, NOW, again=True) == first
    assert (store.requests.lists, store.requests.puts, s3.objects) == (0, 0, before)
    assert first.deal == "files"


def test_a_retry_after_a_try_that_wrote_no_manifest_begins(s3: FakeS3):
    request = parse({"bucket": "b", "data_prefix": "d", "result_path": "r", "world_size": 2}, "run-1")
    store = ObjectStore("b", client=s3, missing=PartitionMissing)  # type: ignore[arg-type]
    assert init(request, store, store, store, NOW, again=True).world_size == len(manifest(s3)) == 2


def test_a_result_path_is_free_again_when_its_run_has_a_summary(s3: FakeS3):
    begin(s3)
    for not_its_own in (b'{"execution": "run-0"}', b'{"exec', b"[]"):
        s3.objects["r/summary.json"] = not_its_own
        with pytest.raises(InvalidEvent, match="in use"):
            begin(s3, "run-2", NOW + 10)
    s3.objects["r/summary.json"] = json.dumps({"execution": "run-1"}).encode()
    begin(s3, "run-2", NOW + 10)
    assert manifest(s3)[0]["run_id"] == "run-2"


def test_a_result_path_is_free_again_when_its_run_must_have_ended(s3: FakeS3):
    begin(s3)
    with pytest.raises(InvalidEvent, match="in use"):
        begin(s3, "run-2", NOW + 2 * WAVE_S - 1)
    begin(s3, "run-2", NOW + 2 * WAVE_S, max_concurrency=1)
    assert manifest(s3)[0]["run_id"] == "run-2"
    with pytest.raises(InvalidEvent, match="in use"):  # which has three waves, and so more time
        begin(s3, "run-3", NOW + 5 * WAVE_S)
    begin(s3, "run-3", NOW + 6 * WAVE_S)


@pytest.mark.parametrize(("max_concurrency", "planned", "gathers"), [(None, 0, True), (3, 0, True), (2, 2, False)])
def test_ranks_that_are_not_all_at_work_at_once_do_not_gather(s3: FakeS3, max_concurrency, planned, gathers):
    run = begin(s3, max_concurrency=max_concurrency, rendezvous_endpoint="server:10000")
    assert run.to_json()["max_concurrency"] == planned
    assert {item["fmi_enabled"] for item in manifest(s3)} == {gathers}
    assert {item["time_limit_s"] for item in manifest(s3)} == {WAVE_S if gathers else 2 * WAVE_S}
    told = [
        "the ranks did not gather by sockets, because 3 ranks with max_concurrency 2 work in 2 waves and not all at "
        "once. Their parts travelled by way of storage"
    ]
    assert list(run.warnings) == ([] if gathers else told)


def test_the_weights_of_a_run_are_named_with_their_version(s3: FakeS3):
    s3.objects["m/mine.pt"] = b"weights"
    begin(s3, model_path="m/mine.pt")
    (named,) = {tuple(item["model"].values()) for item in manifest(s3)}
    assert named == ("b", "m/mine.pt", s3.head_object(Key="m/mine.pt")["ETag"])
    with pytest.raises(InvalidEvent, match=r"s3://b/m/lost.pt, which model_path names, does not exist"):
        begin(s3, "run-2", result_path="other", model_path="m/lost.pt")
    assert not [key for key in s3.objects if key.startswith("other/")]


def test_a_run_that_was_not_to_gather_is_not_told_that_it_does_not(s3: FakeS3):
    assert begin(s3, max_concurrency=2, fmi_enabled=False).warnings == ()


def test_whether_a_run_must_have_ended_is_told_by_one_clock(s3: FakeS3):
    """That of the machine where Init runs may be hours off. It is not even asked."""
    begin(s3, now=time.time() - 10 * WAVE_S)
    with pytest.raises(InvalidEvent, match="in use"):
        begin(s3, "run-2", time.time() - 10 * WAVE_S + 60)


def test_nothing_of_a_larger_earlier_run_stays_beside_a_smaller_one(s3: FakeS3):
    begin(s3)
    results = [f"r/{name}" for rank in range(3) for name in (f"{rank}.json", f"predictions/{rank}.parquet")]
    results += ["r/attempts/2/0/0.parquet", "r/predictions.parquet", "r/combined_data.json"]
    others = ["r/notes.txt", "r/2.json.bak", "r/sub/2.json", "r2/2.json"]
    s3.objects |= dict.fromkeys([*results, *others], b"x")
    s3.objects["r/summary.json"] = json.dumps({"execution": "run-1"}).encode()
    begin(s3, "run-2", NOW + 10, world_size=2)
    assert {key for key in s3.objects if key.startswith("r")} - shares(s3) == {"r/manifest.json", *others}
    assert {f"r/{item['share']['key']}" for item in manifest(s3)} == shares(s3)


def test_a_retry_removes_what_a_try_that_was_lost_had_not_removed(s3: FakeS3):
    """The folder of predictions opens as one table, so that a table of the earlier run would be read with it."""

    class LostError(Exception):
        pass

    def lost(**_: object) -> dict[str, object]:
        raise LostError

    begin(s3)
    left = ["r/2.json", "r/predictions/2.parquet", "r/quantiles/2.parquet", "r/summary.json"]
    s3.objects |= dict.fromkeys(left, json.dumps({"execution": "run-1"}).encode())
    removes, s3.delete_objects = s3.delete_objects, lost  # type: ignore[method-assign]
    with pytest.raises(LostError):
        begin(s3, "run-2", NOW + 10, world_size=2)
    s3.delete_objects = removes  # type: ignore[method-assign]
    request = parse({"bucket": "b", "data_prefix": "d", "result_path": "r", "world_size": 2}, "run-2")
    store = ObjectStore("b", client=s3, missing=InvalidEvent)  # type: ignore[arg-type]
    assert init(request, store, store, store, NOW + 10, again=True).world_size == 2
    assert {f"r/{item['share']['key']}" for item in manifest(s3)} == shares(s3)
    assert {key for key in s3.objects if key.startswith("r/")} - shares(s3) == {"r/manifest.json"}


# --- answers that are lost, and invocations that come twice


def lose_the_first_answer(s3: FakeS3) -> None:
    """The client has not heard that the manifest is written, and writes it again."""
    put = s3.put_object

    def put_twice(**given: Any) -> dict[str, str]:
        if given["Key"] == "r/manifest.json":
            put(**given)
            s3.put_object = put  # type: ignore[method-assign]
        return put(**given)

    s3.put_object = put_twice  # type: ignore[method-assign]


def test_a_manifest_whose_answer_was_lost_keeps_its_shares(s3: FakeS3):
    lose_the_first_answer(s3)
    assert begin(s3).world_size == len(manifest(s3)) == 3


def test_a_path_that_was_taken_over_with_an_answer_lost_is_taken_over(s3: FakeS3):
    begin(s3)
    s3.objects |= {"r/2.json": b"{}", "r/summary.json": json.dumps({"execution": "run-1"}).encode()}
    lose_the_first_answer(s3)
    assert begin(s3, "run-2", NOW + 10).world_size == len(manifest(s3)) == 3
    assert {key for key in s3.objects if key.startswith("r/")} - shares(s3) == {"r/manifest.json"}


def test_shares_stay_where_nobody_knows_whether_the_manifest_was_written(s3: FakeS3):
    put = s3.put_object

    def put_and_fail(**given: Any) -> dict[str, str]:
        answer = put(**given)
        if given["Key"] == "r/manifest.json":
            raise s3._refusal("InternalError", 500)
        return answer

    s3.put_object = put_and_fail  # type: ignore[method-assign]
    with pytest.raises(StorageUnavailable):
        begin(s3)
    s3.put_object = put  # type: ignore[method-assign]
    request = parse({"bucket": "b", "data_prefix": "d", "result_path": "r"}, "run-1")
    store = ObjectStore("b", client=s3, missing=InvalidEvent)  # type: ignore[arg-type]
    assert init(request, store, store, store, NOW, again=True).world_size == len(manifest(s3)) == 3


def test_a_manifest_that_meets_others_each_time_is_tried_again_later(s3: FakeS3):
    """S3 says so of a write that meets another one which has not ended, as that of the same Init delivered twice."""
    put = s3.put_object

    def conflict(**given: Any) -> dict[str, str]:
        if given["Key"] == "r/manifest.json":
            raise s3._refusal("ConditionalRequestConflict", 409)
        return put(**given)

    s3.put_object = conflict  # type: ignore[method-assign]
    with pytest.raises(StorageUnavailable):
        begin(s3)


def test_an_init_that_comes_once_more_takes_nothing_from_a_later_run(s3: FakeS3):
    for run_id, now in (("run-1", NOW), ("run-2", NOW + 10)):
        begin(s3, run_id, now)
        s3.objects["r/summary.json"] = json.dumps({"execution": run_id}).encode()
    before = dict(s3.objects)
    with pytest.raises(InvalidEvent, match="the run run-2, which began later than this one"):
        begin(s3, "run-1", NOW)
    assert s3.objects == before


def test_results_that_may_not_be_removed_are_a_warning(s3: FakeS3):
    def denied(**_: object) -> dict[str, object]:
        return {"Errors": [{"Key": "r/2.json", "Code": "AccessDenied"}]}

    begin(s3)
    s3.objects |= {"r/2.json": b"{}", "r/summary.json": json.dumps({"execution": "run-1"}).encode()}
    s3.delete_objects = denied  # type: ignore[method-assign]
    (warning,) = begin(s3, "run-2", NOW + 10).warnings
    assert warning.startswith("results of an earlier run are left in s3://b/r/: s3://b/r/2.json could not be removed")


def test_something_else_in_the_manifests_place_is_not_overwritten(s3: FakeS3):
    s3.objects["r/manifest.json"] = b'{"mine": true}'
    with pytest.raises(InvalidEvent, match=r"s3://b/r/manifest.json .* not a manifest"):
        begin(s3)
    assert s3.objects["r/manifest.json"] == b'{"mine": true}'


def test_whoever_names_no_rendezvous_server_hears_how_the_ranks_gather():
    def warnings(**given: object) -> tuple[str, ...]:
        told = {"bucket": "b", "data_prefix": "d", **given}
        return warn_without_server(parse(told, "r"), told).warnings

    assert warnings() == warnings(world_size=2, rendezvous_endpoint="", fmi_enabled=None) == (WITHOUT_SERVER,)
    assert not warnings(world_size=1)  # which has nothing to gather
    assert not warnings(fmi_enabled=False)  # it is what was asked for
    assert not warnings(rendezvous_endpoint="h:1")


# --- how the ranks gather


GATHERED = {"rendezvous_endpoint": "h:1", "data_prefix": "d", "bucket": "b"}


@pytest.mark.parametrize(("world_size", "width"), [(3, 0), (256, 0), (257, 16), (10_000, 100)])
def test_every_rank_is_told_the_width_of_the_tree(s3: FakeS3, world_size: int, width: int):
    begin(s3, world_size=world_size, descriptors=1024, rendezvous_endpoint="h:1")
    assert {item["gather_width"] for item in manifest(s3)} == {width}
    assert {item["fmi_enabled"] for item in manifest(s3)} == {True}


def test_the_input_may_say_how_wide_the_tree_is(s3: FakeS3):
    begin(s3, world_size=7, rendezvous_endpoint="h:1", gather_width="2")
    assert {item["gather_width"] for item in manifest(s3)} == {2}


def test_where_descriptors_are_too_few_for_any_tree_parts_go_by_storage_and_a_warning_says_why(s3: FakeS3):
    run = begin(s3, world_size=64, descriptors=66, rendezvous_endpoint="h:1")
    assert {item["fmi_enabled"] for item in manifest(s3)} == {False}
    assert "66 file descriptors let a rank be connected to 1 others, which are too few for" in run.warnings[-1]


def test_a_width_that_no_rank_has_descriptors_for_is_refused_by_its_name():
    request = parse({**GATHERED, "gather_width": 2}, "run-1")
    assert planned_width(request, 900, 1024) == 2
    with pytest.raises(
        InvalidEvent, match="gather_width is 2, by which one of 10,000 ranks would be connected to 5,000"
    ):
        planned_width(request, 10_000, 1024)


def test_ranks_that_do_not_gather_need_no_descriptors():
    request = parse({**GATHERED, "fmi_enabled": False, "gather_width": 2}, "run-1")
    assert planned_width(request, 10_000, 1024) == 100


@pytest.mark.parametrize(("sizes", "root"), [((8, 8, 8), 0), ((900, 8, 8), 0), ((8, 8, 900), 2), ((100, 101, 100), 0)])
def test_the_rank_with_the_largest_share_is_the_root(s3: FakeS3, sizes: tuple[int, ...], root: int):
    s3.objects |= {f"d/{number}.pt": b"g" * size for number, size in zip((1, 2, 10), sizes, strict=True)}
    begin(s3, rendezvous_endpoint="h:1")
    assert {item["gather_root"] for item in manifest(s3)} == {root}
