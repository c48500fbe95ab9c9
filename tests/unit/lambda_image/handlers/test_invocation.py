"""What a rank decides, in a bucket in memory, with a communicator that does as it is told and a clock that stands."""

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from lambda_image.comm.operations.collectives import Gathered
from lambda_image.data.predictions import Predictions
from lambda_image.errors import (
    PartitionMalformed,
    PeerTimeout,
    RendezvousUnreachable,
    RunError,
    RunSuperseded,
    StorageUnavailable,
)
from lambda_image.handlers.invocation import JOIN_TIMEOUT_S, WITHDRAWAL_S
from lambda_image.manifest import Assignment, ModelObject
from lambda_image.results import digest, pack, unpack
from lambda_image.weights import OwnWeights
from tests.unit.lambda_image.handlers.rank_stage import (
    CLAIM,
    NOW,
    RECORD,
    ROOTS,
    ROWS,
    STRETCH,
    TABLE,
    MeanMagnitude,
    Stage,
)


def gives(error: RunError) -> Callable[[bytes], Gathered | None]:
    def answer(part: bytes) -> Gathered | None:
        raise error

    return answer


# --- the order of a rank's work


def test_the_table_comes_before_the_record_and_the_record_before_the_gather():
    stage = Stage()
    assert stage.invoke() == {"rank": 1}
    assert stage.journal == [CLAIM, TABLE, RECORD, "gather", RECORD]
    assert [entry["phase"] for entry in stage.events("phase")] == [
        "start",
        "download",
        "inference",
        "write",
        "gather",
        "done",
    ]


def test_what_is_offered_is_what_was_written():
    stage = Stage(partitions=("d/1", "d/2"))
    stage.invoke()
    (offered,) = stage.communicator.gathered
    record, table = unpack(offered["part"])
    assert table == stage.s3.objects[TABLE]
    assert (record["transport"], record["samples"], record["error"]) == ("storage", 2 * ROWS, None)
    assert stage.table().redshift.tolist() == [20.0] * ROWS + [21.0] * ROWS
    assert stage.table().source.tolist() == ["d/1"] * ROWS + ["d/2"] * ROWS


def test_the_last_record_says_how_the_part_travelled():
    stage = Stage()
    stage.invoke()
    record = stage.json(RECORD)
    assert (record["transport"], record["gather_error"], record["nat"]) == ("direct", None, "none")
    assert (record["phases"]["join_s"], record["phases"]["connect_s"]) == (0.25, 0.5)


def test_a_rank_joins_before_it_works_as_its_assignment_says():
    stage = Stage()
    for tries in range(2):
        stage.claim(tries)
    stage.invoke(attempt=7)  # of which five were refused
    joined = stage.communicator.joined
    assert (joined["endpoint"], joined["run_id"], joined["rank"]) == ("rendezvous:10000", "run-1", 1)
    assert (joined["world_size"], joined["attempt"]) == (3, 2)
    assert (joined["run_key"], joined["rendezvous_key"]) == (bytes(32), b"secret")
    assert joined["deadline"] == NOW + JOIN_TIMEOUT_S
    assert stage.communicator.closed


@pytest.mark.parametrize("changes", [{"fmi_enabled": False}, {"rendezvous_endpoint": None}])
def test_without_sockets_a_part_is_written_and_offered_to_nobody(changes):
    stage = Stage(**changes)
    stage.invoke()
    assert stage.journal == [CLAIM, TABLE, RECORD]
    assert not stage.communicator.joined
    record = stage.json(RECORD)
    assert (record["transport"], record["gather_error"], record["nat"]) == ("storage", None, None)


def test_a_rank_without_partitions_takes_part():
    stage = Stage(partitions=())
    stage.invoke()
    assert stage.journal == [CLAIM, TABLE, RECORD, "gather", RECORD]
    assert len(stage.table()) == stage.json(RECORD)["samples"] == 0


# --- a rank that fails


def test_one_bad_partition_keeps_what_is_done_and_withdraws():
    stage = Stage(partitions=("d/1", "d/2"))
    stage.s3.objects["d/2"] = stage.s3.objects["d/2"][:-100]
    with pytest.raises(PartitionMalformed, match="s3://b/d/2") as failed:
        stage.invoke()
    assert stage.journal == [CLAIM, STRETCH, RECORD]
    assert stage.table(STRETCH).source.tolist() == ["d/1"] * ROWS
    assert stage.json(RECORD)["error"] == f"PartitionMalformed: {failed.value}"
    assert stage.json(RECORD)["gather_error"] == f"failed: PartitionMalformed: {failed.value}"
    assert stage.communicator.withdrawn == [(failed.value, 0, NOW + WITHDRAWAL_S)]
    assert stage.communicator.closed
    (told,) = stage.events("failed")
    assert (told["rank"], told["error"], told["message"]) == (1, "PartitionMalformed", str(failed.value))


def test_where_nothing_is_done_the_record_says_why():
    stage = Stage()
    stage.s3.objects["d/1"] = b"no partition"
    with pytest.raises(PartitionMalformed):
        stage.invoke()
    assert stage.journal == [CLAIM, RECORD]
    assert stage.json(RECORD)["predictions"] is None
    assert len(stage.communicator.withdrawn) == 1


def test_a_transient_error_keeps_what_is_done_and_does_not_withdraw():
    """The next attempt of this rank may still bring its part."""
    stage = Stage(partitions=("d/1", "d/2"))
    stage.s3.unavailable.add("d/2")
    with pytest.raises(StorageUnavailable):
        stage.invoke()
    assert stage.journal == [CLAIM, STRETCH, RECORD]
    assert stage.json(RECORD)["error"].startswith("StorageUnavailable: ")
    assert stage.json(RECORD)["gather_error"] is None
    assert stage.communicator.withdrawn == []
    assert stage.communicator.closed


def test_an_error_that_nobody_foresaw_withdraws_too():
    stage = Stage()
    stage.engine.error = ZeroDivisionError("unforeseen")
    with pytest.raises(ZeroDivisionError):
        stage.invoke()
    assert [error for error, _, _ in stage.communicator.withdrawn] == [stage.engine.error]
    assert stage.communicator.closed


def test_neither_storage_nor_peers_hide_the_error():
    stage = Stage(partitions=("d/1", "d/2"))
    stage.s3.objects["d/2"] = b"no partition"
    stage.fill_after_the_claim()
    stage.communicator.withdrawal = PeerTimeout("rank 0 did not answer")
    with pytest.raises(PartitionMalformed):
        stage.invoke()
    assert stage.communicator.closed


def test_predictions_that_cannot_be_written_are_not_offered():
    stage = Stage()
    stage.fill_after_the_claim()
    with pytest.raises(StorageUnavailable):
        stage.invoke()
    assert stage.communicator.gathered == []
    assert stage.communicator.closed


# --- the gather


def test_a_gather_that_fails_is_no_failure_and_its_reason_is_in_the_record():
    stage = Stage()
    stage.communicator.answer = gives(PeerTimeout("rank 0 did not answer"))
    assert stage.invoke() == {"rank": 1}
    record = stage.json(RECORD)
    assert (record["transport"], record["error"]) == ("storage", None)
    assert record["gather_error"] == "PeerTimeout: rank 0 did not answer"
    (told,) = stage.events("gather_failed")
    assert (told["error"], told["message"]) == ("PeerTimeout", "rank 0 did not answer")
    assert stage.communicator.closed


def root(execution: str) -> dict[str, Any]:
    return {"execution": execution, "rank": 0, "attempt": 1, "gather_error": "rank 0 was lost"}


def test_where_rank_0_gathers_no_more_a_rank_does_not_wait_for_it():
    stage = Stage()
    stage.s3.objects[ROOTS] = json.dumps(root("arn:machine:run-1")).encode()
    stage.invoke()
    assert stage.journal == [CLAIM, TABLE, RECORD, RECORD]
    assert (stage.json(RECORD)["transport"], stage.json(RECORD)["gather_error"]) == ("storage", "rank 0 was lost")


def test_what_an_earlier_run_said_of_its_gather_does_not_count():
    stage = Stage()
    stage.s3.objects[ROOTS] = json.dumps(root("arn:machine:run-0")).encode()
    stage.invoke()
    assert stage.json(RECORD)["transport"] == "direct"


def test_a_root_that_does_not_come_is_not_offered_the_part():
    stage = Stage()
    del stage.communicator.facts[0]
    stage.invoke()
    assert stage.json(RECORD)["transport"] == "storage"
    assert "rank 0 had not joined" in stage.json(RECORD)["gather_error"]
    assert "gather" not in stage.journal


def test_a_rendezvous_that_failed_is_named_by_the_gather():
    """Nobody is announced any more, and why is what the gather's own error says."""
    stage = Stage()
    del stage.communicator.facts[0]
    stage.communicator.failure = RendezvousUnreachable("the server has gone")

    def fail(part: bytes) -> None:
        raise stage.communicator.failure

    stage.communicator.answer = fail
    stage.invoke()
    assert stage.json(RECORD)["gather_error"] == "RendezvousUnreachable: the server has gone"


# --- rank 0


def test_rank_0_writes_the_combined_result_when_it_has_every_part():
    stage = Stage(rank=0)

    def parts_of_all(_: bytes) -> Gathered:
        record, table = unpack(stage.part())
        parts = [b"", *(bytearray(pack({**record, "rank": rank}, table)) for rank in (1, 2))]
        return Gathered(parts, transports={1: "direct", 2: "relayed"})

    stage.communicator.answer = parts_of_all
    stage.invoke()
    own = [ROOTS, "r/predictions/0.parquet", ROOTS]
    assert stage.journal == [*own, "gather", "r/predictions.parquet", "r/combined_data.json", "r/0.json"]
    assert len(stage.table("r/predictions.parquet")) == 3 * ROWS
    records = stage.json("r/combined_data.json")
    assert [record["rank"] for record in records] == [0, 1, 2]
    assert [record["transport"] for record in records] == ["self", "direct", "relayed"]
    assert (stage.json("r/0.json")["transport"], stage.json("r/0.json")["gather_error"]) == ("self", None)


def test_a_rank_that_is_alone_writes_the_combined_result():
    stage = Stage(rank=0, world_size=1)
    stage.communicator.answer = lambda _: Gathered([b""])
    stage.invoke()
    assert stage.json("r/0.json")["transport"] == "self"
    assert len(stage.table("r/predictions.parquet")) == ROWS


def test_rank_0_leaves_ranks_without_galaxies_out_of_the_combined_data():
    stage = Stage(rank=0)

    def one_rank_is_idle(_: bytes) -> Gathered:
        record, table = unpack(stage.part())
        empty = Predictions.concatenate([]).to_parquet()
        own = {**record["predictions"], "blake2b": digest(empty)}
        idle = pack({**record, "rank": 1, "samples": 0, "predictions": own}, empty)
        parts = [b"", bytearray(idle), bytearray(pack({**record, "rank": 2}, table))]
        return Gathered(parts, transports=dict.fromkeys((1, 2), "direct"))

    stage.communicator.answer = one_rank_is_idle
    stage.invoke()
    assert [record["rank"] for record in stage.json("r/combined_data.json")] == [0, 2]
    assert len(stage.table("r/predictions.parquet")) == 2 * ROWS


def test_a_record_has_the_times_of_the_requests_before_it():
    stage = Stage()
    stage.invoke()
    record = stage.json(RECORD)
    # The partition, the claim and a look whose the path is, the predictions, the first record, a look for rank 0.
    assert record["s3_num_requests"] == record["s3"]["puts"] + record["s3"]["gets"] == 6
    assert record["s3_min_time"] <= record["s3_avg_time"] <= record["s3_max_time"] <= record["s3_total_time"]
    assert record["s3_first_request_time"] <= record["s3_last_response_time"]


def test_rank_0_waits_for_parts_of_later_attempts_and_not_for_those_that_cannot_come():
    stage = Stage(rank=0)
    stage.communicator.answer = lambda part: Gathered([part, None, None], {1: PeerTimeout(""), 2: PeerTimeout("")})
    stage.invoke()
    (asked,) = stage.communicator.gathered
    assert (asked["root"], asked["allow_missing"], asked["await_retries"]) == (0, True, True)


def test_where_a_part_is_missing_nothing_is_combined_and_the_gather_has_ended():
    stage = Stage(rank=0)
    stage.communicator.answer = lambda part: Gathered(
        [part, b"", None], {2: PeerTimeout("rank 2 is late")}, {1: "direct"}
    )
    stage.invoke()
    assert stage.journal == [ROOTS, "r/predictions/0.parquet", ROOTS, "gather", ROOTS]
    reason = "1 of 3 parts did not come: rank 2 is late"
    assert (stage.json("r/0.json")["transport"], stage.json("r/0.json")["gather_error"]) == ("storage", reason)
    (told,) = stage.events("gather_incomplete")
    assert told["missing"] == {2: "rank 2 is late"}


def test_the_second_attempt_of_rank_0_ends_the_gather_before_it_works():
    """The other ranks' gathers ended with the first, and those that have gone would not come back."""
    stage = Stage(rank=0)
    stage.claim(tries=0)
    ended = []
    stage.engine.before = lambda: ended.append(stage.json(ROOTS)["gather_error"])
    stage.invoke(attempt=1)
    assert set(ended) == {"rank 0 was lost and tried again"}
    assert stage.journal == [ROOTS, ROOTS, ROOTS, "r/predictions/0.parquet", ROOTS]  # the second was refused
    assert not stage.communicator.joined
    assert stage.json(ROOTS)["transport"] == "storage"
    assert stage.json(ROOTS)["gather_error"] == "rank 0 was lost and tried again"


@pytest.mark.parametrize("complete", [False, True])
@pytest.mark.parametrize("transient", [False, True])
def test_the_last_record_of_a_rank_that_gathered_and_was_lost_says_so_as_well(complete: bool, transient: bool):
    """Who waits for it may look there for the first time when it is done."""
    stage = Stage(gather_width=2)  # rank 1 is an inner rank
    stage.communicator.answer = dies
    if complete:
        with pytest.raises(KeyboardInterrupt):
            stage.invoke()
    else:
        stage.claim(tries=0)
    stage.communicator.joined.clear()
    if transient and not complete:
        stage.engine.error = StorageUnavailable("S3 is busy")
        with pytest.raises(StorageUnavailable):
            stage.invoke(attempt=1)
    else:
        stage.invoke(attempt=1)
    assert not stage.communicator.joined
    assert stage.json(RECORD)["gather_error"] == "rank 1 was lost and tried again"


def test_a_root_that_is_not_rank_0_gathers_and_the_others_are_numbered_after_it():
    stage = Stage(rank=2, gather_root=2)
    stage.communicator.answer = lambda _: Gathered([b"", None, None], {1: PeerTimeout("late"), 2: PeerTimeout("late")})
    stage.invoke()
    joined = stage.communicator.joined
    assert (joined["rank"], joined["world_size"], list(joined["names"])) == (0, 3, [2, 0, 1])
    assert "2 of 3 parts did not come" in stage.json("r/2.json")["gather_error"]
    other = Stage(rank=1, gather_root=2)
    other.invoke()
    assert other.communicator.joined["rank"] == 2
    assert other.json(RECORD)["transport"] == "direct"


def test_an_inner_rank_joins_two_groups_and_tells_the_upper_one_where_it_fails():
    stage = Stage(gather_width=2)
    joined: list[dict[str, Any]] = []
    join = stage.communicator.join

    def note(endpoint: str, max_segment: int | None, **given: Any) -> Any:
        joined.append(given)
        return join(endpoint, max_segment, **given)

    stage.function.environment = replace(
        stage.function.environment, collaborators=replace(stage.function.environment.collaborators, join=note)
    )
    stage.engine.error = ZeroDivisionError("unforeseen")
    with pytest.raises(ZeroDivisionError):
        stage.invoke()
    named = [(one["run_id"], one["rank"], one["world_size"], list(one["names"])) for one in joined]
    assert named == [("run-1", 1, 2, [0, 1]), ("run-1/1", 0, 2, [1, 2])]
    assert joined[0]["run_key"] != joined[1]["run_key"]
    assert [root for _, root, _ in stage.communicator.withdrawn] == [0]


def test_a_start_of_rank_0_that_was_refused_ends_no_gather():
    stage = Stage(rank=0)
    stage.communicator.answer = lambda part: Gathered([part, None, None], {1: PeerTimeout(""), 2: PeerTimeout("")})
    stage.invoke(attempt=1)
    assert (stage.communicator.joined["attempt"], len(stage.communicator.gathered)) == (0, 1)


def test_a_second_delivery_of_rank_0_neither_joins_nor_ends_the_gather_of_the_first():
    stage = Stage(rank=0)
    stage.claim(tries=0)
    stage.invoke(attempt=0)
    assert not stage.communicator.joined
    assert (stage.json(ROOTS)["attempt"], stage.json(ROOTS)["gather_error"]) == (1, None)


def test_a_second_delivery_of_another_rank_does_not_take_the_place_of_the_first_in_the_group():
    stage = Stage()
    stage.claim(tries=0)
    stage.invoke(attempt=0)
    assert not stage.communicator.joined
    assert "delivered twice" in stage.json(RECORD)["gather_error"]


def test_a_rank_without_memory_for_a_thread_says_so_at_once(monkeypatch):
    """Its claim is made in a thread otherwise, and everybody would wait for a record that names a claim."""

    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    stage = Stage()
    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(RuntimeError):
        stage.invoke()
    assert stage.json(RECORD)["error"] == "RuntimeError: can't start new thread"
    assert stage.json(RECORD)["gather_error"] == "failed: RuntimeError: can't start new thread"


# --- an attempt that comes after others


def test_a_retry_of_a_complete_attempt_infers_nothing_and_offers_what_that_one_wrote():
    stage = Stage()
    stage.communicator.answer = dies
    with pytest.raises(KeyboardInterrupt):
        stage.invoke()
    written = stage.s3.objects[TABLE]
    stage.engine.error = ZeroDivisionError("it inferred")
    stage.communicator.answer = lambda part: None
    stage.invoke(attempt=1)
    record, table = unpack(stage.communicator.gathered[-1]["part"])
    assert (record["attempt"], table) == (0, written)
    assert stage.communicator.joined["attempt"] == 1
    assert (stage.json(RECORD)["attempt"], stage.json(RECORD)["transport"]) == (0, "direct")
    assert stage.json(RECORD)["adopted_by"] == 1


def test_a_second_delivery_of_what_is_complete_takes_over_nothing():
    stage = Stage()
    stage.invoke()
    before = stage.s3.objects[RECORD]
    stage.communicator.joined.clear()
    stage.invoke()
    assert stage.s3.objects[RECORD] == before
    assert not stage.communicator.joined


def test_a_table_whose_attempt_died_before_its_record_is_not_taken_for_anothers():
    stage = Stage()
    stage.claim(tries=0)
    stage.objects().put(TABLE, b"another attempt's", within_run="keep")
    stage.invoke(attempt=1)
    named = stage.json(RECORD)["predictions"]
    assert named["key"] == "r/attempts/1/1/0.parquet"
    assert named["blake2b"] == digest(stage.s3.objects[named["key"]])
    assert stage.table(named["key"]).redshift.tolist() == [20.0] * ROWS


def dies(part: bytes) -> Gathered | None:
    raise KeyboardInterrupt  # which no handler of errors touches, as with a kill


# --- a run that another has followed


@pytest.mark.parametrize("world_size", [1, 3])
def test_a_rank_of_an_earlier_run_writes_nothing_that_stays(world_size):
    """It was frozen before each of its writes in turn, while the later run began and ended."""
    for frozen_at in range(1, 5):
        stage = Stage()
        after: dict[str, bytes] = {}

        def go_on(later: Assignment, stage: Stage = stage, after: dict[str, bytes] = after) -> None:
            if later.world_size > 1:
                Stage.of(stage, later).invoke()
            after.update(stage.results())

        stage.lose_the_path(frozen_at, world_size, go_on)
        with pytest.raises(RunSuperseded, match=r"s3://b/r/.*belongs to the run run-2"):
            stage.invoke()
        assert stage.results() == after, frozen_at


def test_the_weights_of_a_run_predict_instead_of_the_images():
    stage = Stage(model=ModelObject("b", "m", "etag"))
    stage.engine.error = AssertionError("the image's weights have predicted")
    own = OwnWeights(MeanMagnitude(), "s3://b/m, SHA-256 00")  # type: ignore[arg-type]
    stage.function.environment.weights.load = lambda model, store: own  # type: ignore[method-assign]
    stage.invoke()
    assert stage.json(RECORD)["weights"] == "s3://b/m, SHA-256 00"
    assert len(stage.table()) == ROWS
