"""What a rank decides, in a bucket in memory, with a communicator that does as it is told and a clock that stands."""

import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lambda_image.comm.communicator import PeerFacts
from lambda_image.comm.operations.collectives import Gathered
from lambda_image.data.partition import write_partition
from lambda_image.data.predictions import Predictions
from lambda_image.data.sizes import PUBLISHED
from lambda_image.errors import (
    DeadlineExceeded,
    InvalidEvent,
    PartitionMalformed,
    PeerTimeout,
    RendezvousUnreachable,
    RunError,
    RunSuperseded,
    StorageUnavailable,
)
from lambda_image.handlers.rank import JOIN_TIMEOUT_S, RECORD_TIME_S, WITHDRAWAL_S, Collaborators, RankFunction
from lambda_image.manifest import Assignment, Slice
from lambda_image.ownership import RunObjects
from lambda_image.register import RankRegister
from lambda_image.results import Phases, digest, pack, unpack
from lambda_image.settings import HandlerSettings
from lambda_image.storage import ObjectStore
from tests.unit.lambda_image.handlers.fake_s3 import FakeS3

NOW, TIME_LEFT_S = 1000.0, 100.0
ROWS = 3
TABLE, RECORD = "r/predictions/1.parquet", "r/1.json"
STRETCH = "r/attempts/1/0/0.parquet"
CLAIM = RECORD  # the first version of it
ROOTS = "r/0.json"


class Bucket(FakeS3):
    """Appends every write to a journal; objects in `unavailable` cannot be had, and with `full` nothing is written."""

    def __init__(self, journal: list[str]) -> None:
        super().__init__()
        self.journal = journal
        self.unavailable: set[str] = set()
        self.full = False
        self.puts = 0
        self.before_put: Callable[[int], None] = lambda number: None

    def put_object(self, *, Key: str, Body: bytes, **given: Any) -> dict[str, str]:  # noqa: N803
        self.puts += 1
        self.before_put(self.puts)
        if self.full:
            raise self._refusal("SlowDown", 503)
        self.journal.append(Key)
        return super().put_object(Key=Key, Body=Body, **given)

    def get_object(self, *, Key: str, **given: Any) -> dict[str, Any]:  # noqa: N803
        if Key in self.unavailable:
            raise self._refusal("SlowDown", 503)
        return super().get_object(Key=Key, **given)


class MeanMagnitude:
    """An engine whose answers tell which rows it was given."""

    name, device, parameters_mb, sizes = "eager", "cpu", 1.0, PUBLISHED

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.before: Callable[[], None] = lambda: None

    def predict(self, images: np.ndarray, magnitudes: np.ndarray) -> np.ndarray:
        self.before()
        if self.error is not None:
            raise self.error
        return magnitudes.mean(axis=1)


class Peers:
    """A communicator whose peers have all joined, and whose gather does what `answer` does."""

    join_s, nat, failure = 0.25, "none", None

    def __init__(self, journal: list[str], rank: int, world_size: int) -> None:
        self.journal = journal
        self.answer: Callable[[bytes], Gathered | None] = lambda part: None
        self.withdrawal: RunError | None = None
        self.joined: dict[str, Any] = {}
        self.gathered: list[dict[str, Any]] = []
        self.withdrawn: list[tuple[Exception, int, float]] = []
        self.closed = False
        others = [other for other in range(world_size) if other != rank]
        self.facts = [PeerFacts(other, 0, "direct", 0.5, 0, 0, None) for other in others]

    def join(self, endpoint: str, **given: Any) -> "Peers":
        self.joined = {"endpoint": endpoint, **given}
        return self

    def peers(self) -> list[PeerFacts]:
        return self.facts

    def wait_for_peer(self, rank: int, *, timeout_s: float) -> bool:
        assert timeout_s > 0
        return any(peer.rank == rank for peer in self.facts)

    def gather(self, part: bytes, **given: Any) -> Gathered | None:
        self.journal.append("gather")
        self.gathered.append({"part": part, **given})
        return self.answer(part)

    def withdraw(self, error: Exception, root: int, *, deadline: float) -> None:
        self.withdrawn.append((error, root, deadline))
        if self.withdrawal is not None:
            raise self.withdrawal

    def close(self) -> None:
        self.closed = True


class Clock:
    """Stands still, unless it is told how to go on."""

    def __init__(self) -> None:
        self.steps = itertools.repeat(NOW)

    def __call__(self) -> float:
        return next(self.steps)


class Stage:
    """A rank function and all that it touches."""

    def __init__(
        self,
        folder: Path,
        rank: int = 1,
        partitions: Sequence[str] = ("d/1",),
        assignment: Assignment | None = None,
        **changes: Any,
    ) -> None:
        self.folder = folder
        self.journal: list[str] = []
        self.logged: list[dict[str, Any]] = []
        self.s3 = Bucket(self.journal)
        self.engine = MeanMagnitude()
        self.clock = Clock()
        self.assignment = assignment or Assignment(
            execution="arn:machine:run-1",
            run_key="00" * 32,
            rank=rank,
            world_size=3,
            bucket="b",
            result_path="r",
            data_bucket="b",
            partitions=tuple(map(Slice, partitions)),
            batch_size=2,
            fmi_enabled=True,
            rendezvous_endpoint="rendezvous:10000",
            gather_timeout_s=60.0,
            started_at=NOW,
        )
        self.assignment = replace(self.assignment, **changes)
        self.communicator = Peers(self.journal, rank, self.assignment.world_size)
        for number, key in enumerate(partitions):
            file = folder / "partition"
            magnitudes = np.full((ROWS, 5), 20 + number, np.float32)
            write_partition(file, np.zeros((ROWS, 5, 32, 32), np.float32), magnitudes, file_format="safetensors")
            self.s3.objects[key] = file.read_bytes()
        self.function = RankFunction(
            HandlerSettings.from_environ({"RENDEZVOUS_KEY": "secret"}),
            self.engine,  # type: ignore[arg-type]
            Phases(cold_start_s=7.0),
            Collaborators(
                open_store=lambda bucket, requests: ObjectStore(bucket, client=self.s3, requests=requests),  # type: ignore[arg-type]
                join=self.communicator.join,  # type: ignore[arg-type]
                clock=self.clock,
                log=lambda event, **fields: self.logged.append({"event": event, **fields}),
            ),
        )

    def invoke(self, attempt: int = 0, time_left_s: float = TIME_LEFT_S) -> dict[str, int]:
        context = SimpleNamespace(get_remaining_time_in_millis=lambda: int(time_left_s * 1000))
        return self.function({"item": self.assignment.to_json(), "attempt": attempt}, context)

    @classmethod
    def of(cls, other: "Stage", assignment: Assignment) -> "Stage":
        """Another rank function with the same bucket."""
        stage = cls(other.folder, assignment=assignment)
        stage.s3.objects, stage.s3.metadata = other.s3.objects, other.s3.metadata
        return stage

    def objects(self) -> RunObjects:
        store = ObjectStore("b", client=self.s3)  # type: ignore[arg-type]
        return RunObjects(store, self.assignment.execution, self.assignment.result_path)

    def claim(self, tries: int) -> None:
        """Begins an attempt that goes no further."""
        RankRegister(self.objects(), self.assignment).claim(tries)

    def fill_after_the_claim(self) -> None:
        self.s3.before_put = lambda number: setattr(self.s3, "full", number > 1)

    def json(self, key: str) -> Any:
        return json.loads(self.s3.objects[key])

    def table(self, key: str = TABLE) -> Predictions:
        return Predictions.from_parquet(self.s3.objects[key])

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [entry for entry in self.logged if entry["event"] == kind]


def gives(error: RunError) -> Callable[[bytes], Gathered | None]:
    def answer(part: bytes) -> Gathered | None:
        raise error

    return answer


# --- the order of a rank's work


def test_the_table_comes_before_the_record_and_the_record_before_the_gather(tmp_path):
    stage = Stage(tmp_path)
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


def test_what_is_offered_is_what_was_written(tmp_path):
    stage = Stage(tmp_path, partitions=("d/1", "d/2"))
    stage.invoke()
    (offered,) = stage.communicator.gathered
    record, table = unpack(offered["part"])
    assert table == stage.s3.objects[TABLE]
    assert (record["transport"], record["samples"], record["error"]) == ("storage", 2 * ROWS, None)
    assert stage.table().redshift.tolist() == [20.0] * ROWS + [21.0] * ROWS
    assert stage.table().source.tolist() == ["d/1"] * ROWS + ["d/2"] * ROWS


def test_the_last_record_says_how_the_part_travelled(tmp_path):
    stage = Stage(tmp_path)
    stage.invoke()
    record = stage.json(RECORD)
    assert (record["transport"], record["gather_error"], record["nat"]) == ("direct", None, "none")
    assert (record["phases"]["join_s"], record["phases"]["connect_s"]) == (0.25, 0.5)


def test_a_rank_joins_before_it_works_as_its_assignment_says(tmp_path):
    stage = Stage(tmp_path)
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
def test_without_sockets_a_part_is_written_and_offered_to_nobody(tmp_path, changes):
    stage = Stage(tmp_path, **changes)
    stage.invoke()
    assert stage.journal == [CLAIM, TABLE, RECORD]
    assert not stage.communicator.joined
    record = stage.json(RECORD)
    assert (record["transport"], record["gather_error"], record["nat"]) == ("storage", None, None)


def test_a_rank_without_partitions_takes_part(tmp_path):
    stage = Stage(tmp_path, partitions=())
    stage.invoke()
    assert stage.journal == [CLAIM, TABLE, RECORD, "gather", RECORD]
    assert len(stage.table()) == stage.json(RECORD)["samples"] == 0


def test_the_cold_start_counts_once(tmp_path):
    stage = Stage(tmp_path)
    seen = []
    for _ in range(2):
        stage.s3.objects.pop(RECORD, None)
        stage.invoke()
        seen.append(stage.json(RECORD)["phases"]["cold_start_s"])
    assert seen == [7.0, 0.0]


# --- a rank that fails


def test_one_bad_partition_keeps_what_is_done_and_withdraws(tmp_path):
    stage = Stage(tmp_path, partitions=("d/1", "d/2"))
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


def test_where_nothing_is_done_the_record_says_why(tmp_path):
    stage = Stage(tmp_path)
    stage.s3.objects["d/1"] = b"no partition"
    with pytest.raises(PartitionMalformed):
        stage.invoke()
    assert stage.journal == [CLAIM, RECORD]
    assert stage.json(RECORD)["predictions"] is None
    assert len(stage.communicator.withdrawn) == 1


def test_a_transient_error_keeps_what_is_done_and_does_not_withdraw(tmp_path):
    """The next attempt of this rank may still bring its part."""
    stage = Stage(tmp_path, partitions=("d/1", "d/2"))
    stage.s3.unavailable.add("d/2")
    with pytest.raises(StorageUnavailable):
        stage.invoke()
    assert stage.journal == [CLAIM, STRETCH, RECORD]
    assert stage.json(RECORD)["error"].startswith("StorageUnavailable: ")
    assert stage.json(RECORD)["gather_error"] is None
    assert stage.communicator.withdrawn == []
    assert stage.communicator.closed


def test_an_error_that_nobody_foresaw_withdraws_too(tmp_path):
    stage = Stage(tmp_path)
    stage.engine.error = ZeroDivisionError("unforeseen")
    with pytest.raises(ZeroDivisionError):
        stage.invoke()
    assert [error for error, _, _ in stage.communicator.withdrawn] == [stage.engine.error]
    assert stage.communicator.closed


def test_neither_storage_nor_peers_hide_the_error(tmp_path):
    stage = Stage(tmp_path, partitions=("d/1", "d/2"))
    stage.s3.objects["d/2"] = b"no partition"
    stage.fill_after_the_claim()
    stage.communicator.withdrawal = PeerTimeout("rank 0 did not answer")
    with pytest.raises(PartitionMalformed):
        stage.invoke()
    assert stage.communicator.closed


def test_predictions_that_cannot_be_written_are_not_offered(tmp_path):
    stage = Stage(tmp_path)
    stage.fill_after_the_claim()
    with pytest.raises(StorageUnavailable):
        stage.invoke()
    assert stage.communicator.gathered == []
    assert stage.communicator.closed


@pytest.mark.parametrize("event", [{}, {"attempt": 1}, [1], None])
def test_what_the_state_machine_did_not_send_is_refused(tmp_path, event):
    with pytest.raises(InvalidEvent, match="invoked by the state machine"):
        Stage(tmp_path).function(event, None)


# --- the gather


@pytest.mark.parametrize(
    ("gather_timeout_s", "time_left_s", "wait_s"),
    [(60.0, 900.0, 60.0), (60.0, 40.0, 40.0 - RECORD_TIME_S), (0.0, 900.0, 0.0)],
)
def test_the_gather_ends_in_time_to_write_the_record(tmp_path, gather_timeout_s, time_left_s, wait_s):
    stage = Stage(tmp_path, gather_timeout_s=gather_timeout_s)
    stage.invoke(time_left_s=time_left_s)
    assert stage.communicator.gathered[0]["deadline"] == NOW + wait_s


def test_a_gather_that_fails_is_no_failure_and_its_reason_is_in_the_record(tmp_path):
    stage = Stage(tmp_path)
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


def test_where_rank_0_gathers_no_more_a_rank_does_not_wait_for_it(tmp_path):
    stage = Stage(tmp_path)
    stage.s3.objects[ROOTS] = json.dumps(root("arn:machine:run-1")).encode()
    stage.invoke()
    assert stage.journal == [CLAIM, TABLE, RECORD, RECORD]
    assert (stage.json(RECORD)["transport"], stage.json(RECORD)["gather_error"]) == ("storage", "rank 0 was lost")


def test_what_an_earlier_run_said_of_its_gather_does_not_count(tmp_path):
    stage = Stage(tmp_path)
    stage.s3.objects[ROOTS] = json.dumps(root("arn:machine:run-0")).encode()
    stage.invoke()
    assert stage.json(RECORD)["transport"] == "direct"


def test_a_root_that_does_not_come_is_not_offered_the_part(tmp_path):
    stage = Stage(tmp_path)
    del stage.communicator.facts[0]
    stage.invoke()
    assert stage.json(RECORD)["transport"] == "storage"
    assert "rank 0 had not joined" in stage.json(RECORD)["gather_error"]
    assert "gather" not in stage.journal


def test_a_rendezvous_that_failed_is_named_by_the_gather(tmp_path):
    """Nobody is announced any more, and why is what the gather's own error says."""
    stage = Stage(tmp_path)
    del stage.communicator.facts[0]
    stage.communicator.failure = RendezvousUnreachable("the server has gone")

    def fail(part: bytes) -> None:
        raise stage.communicator.failure

    stage.communicator.answer = fail
    stage.invoke()
    assert stage.json(RECORD)["gather_error"] == "RendezvousUnreachable: the server has gone"


# --- rank 0


def test_rank_0_writes_the_combined_result_when_it_has_every_part(tmp_path):
    stage = Stage(tmp_path, rank=0)
    stage.communicator.facts[1] = replace(stage.communicator.facts[1], transport="relayed")

    def parts_of_all(part: bytes) -> Gathered:
        record, table = unpack(part)
        return Gathered([bytearray(part), *(bytearray(pack({**record, "rank": rank}, table)) for rank in (1, 2))])

    stage.communicator.answer = parts_of_all
    stage.invoke()
    own = [ROOTS, "r/predictions/0.parquet", ROOTS]
    assert stage.journal == [*own, "gather", "r/predictions.parquet", "r/combined_data.json", "r/0.json"]
    assert len(stage.table("r/predictions.parquet")) == 3 * ROWS
    records = stage.json("r/combined_data.json")
    assert [record["rank"] for record in records] == [0, 1, 2]
    assert [record["transport"] for record in records] == ["self", "direct", "relayed"]
    assert (stage.json("r/0.json")["transport"], stage.json("r/0.json")["gather_error"]) == ("self", None)


def test_rank_0_leaves_ranks_without_galaxies_out_of_the_combined_data(tmp_path):
    stage = Stage(tmp_path, rank=0)

    def one_rank_is_idle(part: bytes) -> Gathered:
        record, table = unpack(part)
        empty = Predictions.concatenate([]).to_parquet()
        own = {**record["predictions"], "blake2b": digest(empty)}
        idle = pack({**record, "rank": 1, "samples": 0, "predictions": own}, empty)
        return Gathered([bytearray(part), bytearray(idle), bytearray(pack({**record, "rank": 2}, table))])

    stage.communicator.answer = one_rank_is_idle
    stage.invoke()
    assert [record["rank"] for record in stage.json("r/combined_data.json")] == [0, 2]
    assert len(stage.table("r/predictions.parquet")) == 2 * ROWS


def test_a_record_has_the_times_of_the_requests_before_it(tmp_path):
    stage = Stage(tmp_path)
    stage.invoke()
    record = stage.json(RECORD)
    # The partition, the claim and a look whose the path is, the predictions, the first record, a look for rank 0.
    assert record["s3_num_requests"] == record["s3"]["puts"] + record["s3"]["gets"] == 6
    assert record["s3_min_time"] <= record["s3_avg_time"] <= record["s3_max_time"] <= record["s3_total_time"]
    assert record["s3_first_request_time"] <= record["s3_last_response_time"]


def test_rank_0_waits_for_parts_of_later_attempts_and_not_for_those_that_cannot_come(tmp_path):
    stage = Stage(tmp_path, rank=0)
    stage.communicator.answer = lambda part: Gathered([part, None, None], {1: PeerTimeout(""), 2: PeerTimeout("")})
    stage.invoke()
    (asked,) = stage.communicator.gathered
    assert (asked["root"], asked["allow_missing"], asked["await_retries"]) == (0, True, True)


def test_where_a_part_is_missing_nothing_is_combined_and_the_gather_has_ended(tmp_path):
    stage = Stage(tmp_path, rank=0)
    stage.communicator.answer = lambda part: Gathered([part, b"", None], {2: PeerTimeout("rank 2 is late")})
    stage.invoke()
    assert stage.journal == [ROOTS, "r/predictions/0.parquet", ROOTS, "gather", ROOTS]
    reason = "1 of 3 parts did not come: rank 2 is late"
    assert (stage.json("r/0.json")["transport"], stage.json("r/0.json")["gather_error"]) == ("storage", reason)
    (told,) = stage.events("gather_incomplete")
    assert told["missing"] == {2: "rank 2 is late"}


def test_the_second_attempt_of_rank_0_ends_the_gather_before_it_works(tmp_path):
    """The other ranks' gathers ended with the first, and those that have gone would not come back."""
    stage = Stage(tmp_path, rank=0)
    stage.claim(tries=0)
    ended = []
    stage.engine.before = lambda: ended.append(stage.json(ROOTS)["gather_error"])
    stage.invoke(attempt=1)
    assert set(ended) == {"rank 0 was lost and tried again"}
    assert stage.journal == [ROOTS, ROOTS, ROOTS, "r/predictions/0.parquet", ROOTS]  # the second was refused
    assert not stage.communicator.joined
    assert stage.json(ROOTS)["transport"] == "storage"


def test_a_start_of_rank_0_that_was_refused_ends_no_gather(tmp_path):
    stage = Stage(tmp_path, rank=0)
    stage.communicator.answer = lambda part: Gathered([part, None, None], {1: PeerTimeout(""), 2: PeerTimeout("")})
    stage.invoke(attempt=1)
    assert (stage.communicator.joined["attempt"], len(stage.communicator.gathered)) == (0, 1)


def test_a_second_delivery_of_rank_0_neither_joins_nor_ends_the_gather_of_the_first(tmp_path):
    stage = Stage(tmp_path, rank=0)
    stage.claim(tries=0)
    stage.invoke(attempt=0)
    assert not stage.communicator.joined
    assert (stage.json(ROOTS)["attempt"], stage.json(ROOTS)["gather_error"]) == (1, None)


def test_a_second_delivery_of_another_rank_does_not_take_the_place_of_the_first_in_the_group(tmp_path):
    stage = Stage(tmp_path)
    stage.claim(tries=0)
    stage.invoke(attempt=0)
    assert not stage.communicator.joined
    assert "delivered twice" in stage.json(RECORD)["gather_error"]


# --- an attempt that comes after others


def test_a_retry_goes_on_from_what_was_finished(tmp_path):
    stage = Stage(tmp_path, partitions=("d/1", "d/2", "d/3"))
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


def test_a_retry_of_a_complete_attempt_infers_nothing_and_offers_what_that_one_wrote(tmp_path):
    stage = Stage(tmp_path)
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


def test_a_table_whose_attempt_died_before_its_record_is_not_taken_for_anothers(tmp_path):
    stage = Stage(tmp_path)
    stage.claim(tries=0)
    stage.objects().put(TABLE, b"another attempt's", within_run="keep")
    stage.invoke(attempt=1)
    named = stage.json(RECORD)["predictions"]
    assert named["key"] == "r/attempts/1/1/0.parquet"
    assert named["blake2b"] == digest(stage.s3.objects[named["key"]])
    assert stage.table(named["key"]).redshift.tolist() == [20.0] * ROWS


def dies(part: bytes) -> Gathered | None:
    raise KeyboardInterrupt  # which no handler of errors touches, as with a kill


# --- the end of the function's time


def test_a_rank_ends_before_its_functions_timeout_and_names_what_it_waited_for(tmp_path):
    stage = Stage(tmp_path, partitions=("d/1", "d/2", "d/3"))
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


@pytest.mark.parametrize(
    ("left_s", "works_s"),
    [(900, 890), (40, 30), (8, 6), (0, 890), (-10_000, 890), (11_700, 890)],
    ids=["all", "less", "little", "none", "a clock ahead", "a clock behind"],
)
def test_the_time_that_is_left_is_taken_for_what_it_can_be(tmp_path, left_s, works_s):
    stage = Stage(tmp_path, gather_timeout_s=840.0 * 2)
    stage.invoke(time_left_s=left_s)
    assert stage.communicator.gathered[0]["deadline"] == NOW + works_s


# --- a run that another has followed


@pytest.mark.parametrize("world_size", [1, 3])
def test_a_rank_of_an_earlier_run_writes_nothing_that_stays(tmp_path, world_size):
    """It was frozen before each of its writes in turn, while the later run began and ended."""
    for frozen_at in range(1, 5):
        stage = Stage(tmp_path)
        later = replace(stage.assignment, execution="arn:machine:run-2", world_size=world_size)
        after: dict[str, bytes] = {}

        def follow(number: int, stage=stage, later=later, after=after, frozen_at=frozen_at) -> None:
            if number == frozen_at:
                for key in [key for key in stage.s3.objects if key.startswith("r/")]:
                    del stage.s3.objects[key]  # as Init does
                stage.s3.objects["r/manifest.json"] = json.dumps([later.to_json()]).encode()
                if later.world_size > 1:
                    Stage.of(stage, later).invoke()
                after.update({key: data for key, data in stage.s3.objects.items() if key.startswith("r/")})

        stage.s3.before_put = follow
        with pytest.raises(RunSuperseded, match=r"s3://b/r/.*belongs to the run run-2"):
            stage.invoke()
        assert {key: data for key, data in stage.s3.objects.items() if key.startswith("r/")} == after, frozen_at
