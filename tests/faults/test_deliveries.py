"""Faults that are injected into real ranks, which are processes with real sockets, behind a proxy before S3."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from lambda_image.data.predictions import Predictions
from lambda_image.summary import message_of
from tests.faults.faulty_runs import FaultyRuns, faulty_runs
from tests.faults.faulty_s3 import SickS3

pytestmark = pytest.mark.timeout(240)
WITHIN_S = 2.0  # of the fact, the root must end its wait
LATE_S = 1.0  # that a busy machine may take on top of it


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyRuns]:
    with faulty_runs(tmp_path_factory.mktemp("endpoint")) as runs:
        yield runs


@pytest.fixture
def runs(endpoint: FaultyRuns) -> FaultyRuns:
    """Without workers, objects and faults of earlier tests."""
    endpoint.reset()
    return endpoint


def check_tables(runs: FaultyRuns, path: str, rows: int) -> None:
    """The tables of the ranks together are the combined one, row by row and to the last bit."""
    everything = Predictions.from_parquet(runs.get(f"{path}/predictions.parquet"))
    world = len(runs.json(f"{path}/manifest.json"))
    tables = [Predictions.from_parquet(runs.get(f"{path}/predictions/{rank}.parquet")) for rank in range(world)]
    assert len(everything) == rows
    assert np.array_equal(np.concatenate([table.redshift for table in tables]), everything.redshift)


def test_every_invocation_delivered_twice_costs_neither_a_rank_nor_the_gather(runs: FaultyRuns, tmp_path: Path):
    runs.add_workers(4)
    prefix = runs.upload(tmp_path, 4, 30)
    run, items = runs.init("twice", data_prefix=prefix, world_size=2, batch_size=4, result_path="r")
    deliveries = [runs.rank(item) for item in items for _ in range(2)]
    answers = [delivery.end() for delivery in deliveries]
    assert answers == [{"rank": 0}, {"rank": 0}, {"rank": 1}, {"rank": 1}]
    summary = runs.summarize(run)
    assert (summary["status"], summary["samples"], summary["failed_ranks"]) == ("succeeded", 120, [])
    assert summary["gathered"]
    check_tables(runs, "r", 120)


def test_a_rank_of_an_earlier_run_that_wakes_replaces_nothing(runs: FaultyRuns, tmp_path: Path):
    """Rank 0 is frozen in its gather, and rank 2, which the later run does not have, while it infers."""
    runs.add_workers(3)
    prefix = runs.upload(tmp_path, 3, 40)
    given = {"data_prefix": prefix, "batch_size": 4, "result_path": "r", "gather_timeout_s": 3}
    run, items = runs.init("earlier", world_size=3, **given)
    frozen = (2, "inference"), (0, "gather")
    for rank, phase in frozen:
        runs.freeze(rank, phase)
    earlier = [runs.rank(item) for item in items]
    zombies = [runs.frozen(rank, phase) for rank, phase in frozen]
    earlier[1].end()
    runs.invoke(
        "summarize", {"state": {"run": run, "ranks": []}}
    )  # which fails, as rank 2 is missing, and ends the run
    runs.add_worker()
    _, items = runs.init("later", world_size=2, **given)
    for delivery in [runs.rank(item) for item in items]:
        assert "errorType" not in delivery.end()
    later = {"execution": "arn:later", "bucket": "faults", "manifest_key": "r/manifest.json", "result_path": "r"}
    later |= {"world_size": 2, "tolerated_failures": 0, "started_at": 0.0, "warnings": []}
    assert runs.summarize(later)["status"] == "succeeded"
    before = runs.objects("r")
    assert "2.json" not in before
    for zombie in zombies:
        zombie.go_on()
    for delivery in (earlier[0], earlier[2]):
        assert delivery.end()["errorType"] == "RunSuperseded"
    after = runs.objects("r")
    assert {name: content for name, content in after.items() if not name.startswith("attempts/")} == {
        name: content for name, content in before.items() if not name.startswith("attempts/")
    }


def test_a_rank_whose_write_is_denied_is_not_waited_for(runs: FaultyRuns, tmp_path: Path):
    runs.add_workers(2)
    prefix = runs.upload(tmp_path, 2, 20)
    for what in (r"/predictions/1\.parquet", r"/1\.json"):
        runs.s3.faults[:] = [SickS3("PUT", what, status=403)]
        _, items = runs.init(f"denied-{what}", data_prefix=prefix, world_size=2, result_path=f"r{len(what)}")
        root, other = (runs.rank(item) for item in items)
        assert other.end()["errorType"] == "InvalidEvent"
        assert root.end() == {"rank": 0}
        assert root.ended_at - other.ended_at < WITHIN_S + LATE_S
        assert "AccessDenied" in runs.json(f"r{len(what)}/0.json")["gather_error"] or "denied" in str(
            runs.json(f"r{len(what)}/0.json")["gather_error"]
        )


def test_a_rank_that_never_got_into_the_group_is_not_waited_for(runs: FaultyRuns, tmp_path: Path):
    """Its key is another one. So it is with every reason for which the server or the root refuses it."""
    runs.add_worker()
    runs.wait_until_ready()
    prefix = runs.upload(tmp_path, 2, 20)
    _, items = runs.init("stranger", data_prefix=prefix, world_size=2, result_path="r")
    root = runs.rank(items[0])
    runs.workers[0].wait_for("gather")
    runs.add_worker(RENDEZVOUS_KEY="aa" * 32)
    other = runs.rank(items[1])
    assert other.end() == {"rank": 1}
    assert "RendezvousRejected" in runs.json("r/1.json")["gather_error"]
    assert root.end() == {"rank": 0}
    assert root.ended_at - other.ended_at < WITHIN_S + LATE_S


@pytest.mark.slow
def test_a_root_that_comes_late_does_not_wait_for_those_that_have_gone(runs: FaultyRuns, tmp_path: Path):
    runs.add_workers(1)
    prefix = runs.upload(tmp_path, 2, 20)
    run, items = runs.init("late", data_prefix=prefix, world_size=2, result_path="r")
    assert runs.rank(items[1]).end() == {"rank": 1}
    root = runs.rank(items[0])
    assert root.end() == {"rank": 0}
    (began,) = [event["at"] for event in runs.workers[0].phases("gather") if event["rank"] == 0]
    assert root.ended_at - began < WITHIN_S + LATE_S
    assert runs.summarize(run)["status"] == "succeeded"


@pytest.mark.slow
def test_a_refused_start_is_not_a_lost_rank(tmp_path: Path):
    """The account may run three invocations at a time, and every function is inactive at first."""
    (tmp_path / "endpoint").mkdir()
    with faulty_runs(tmp_path / "endpoint", flags=["--concurrency", "3", "--waking", "1.5"]) as runs:
        runs.add_workers(3)
        prefix = runs.upload(tmp_path, 3, 20)
        described = runs.execute(data_prefix=prefix, world_size=3, result_path="r")
        assert described["status"] == "SUCCEEDED", described.get("cause")
        refused = [event for event in runs.endpoint.events() if event["event"] == "refused"]
        assert {event["function"] for event in refused} == {"init", "rank", "summarize"}
        assert {event["code"] for event in refused} >= {"CodeArtifactUserPendingException"}
        summary = runs.json("r/summary.json")
        assert (summary["gathered"], summary["transports"]) == (True, {"self": 1, "direct": 2})
        assert [runs.json(f"r/{rank}.json")["attempt"] for rank in range(3)] == [0, 0, 0]
        check_tables(runs, "r", 60)


@pytest.mark.slow
def test_a_quota_smaller_than_the_run_costs_time_only(tmp_path: Path):
    """First nobody knows of it, and ranks are refused until others are done. Then the input says so."""
    (tmp_path / "endpoint").mkdir()
    with faulty_runs(tmp_path / "endpoint", flags=["--concurrency", "2"]) as runs:
        runs.add_workers(2)
        prefix = runs.upload(tmp_path, 6, 10)

        def refusals(**given: object) -> list[str]:
            before = len(runs.endpoint.events())
            described = runs.execute(data_prefix=prefix, world_size=6, **given)
            assert described["status"] == "SUCCEEDED", described.get("cause")
            check_tables(runs, str(given["result_path"]), 60)
            return [event["code"] for event in runs.endpoint.events()[before:] if event["event"] == "refused"]

        assert set(refusals(result_path="unknown", gather_timeout_s=3)) == {"TooManyRequestsException"}
        assert refusals(result_path="known", max_concurrency=2) == []
        summary = runs.json("known/summary.json")
        assert (summary["gathered"], summary["transports"]) == (False, {"storage": 6})
        (why,) = summary["warnings"]
        assert "6 ranks with max_concurrency 2 work in 3 waves and not all at once" in why


def test_a_run_whose_time_is_over_ends_with_what_it_has(tmp_path: Path):
    """Its first ranks take all the time that the manifest gives it, and the others are not begun."""
    (tmp_path / "endpoint").mkdir()
    with faulty_runs(tmp_path / "endpoint") as runs:
        runs.add_workers(1)
        prefix = runs.upload(tmp_path, 2, 20)
        run, items = runs.init("overdue", data_prefix=prefix, world_size=2, max_concurrency=1, result_path="r")
        assert run["max_concurrency"] == 1
        ended = items[0]["started_at"] + items[0]["time_limit_s"]
        in_time, late = (datetime.fromtimestamp(ended + s, UTC).isoformat() for s in (-1, 1))
        assert runs.invoke("rank", {"item": items[0], "attempt": 0, "entered_at": in_time}) == {"rank": 0}
        refused = runs.invoke("rank", {"item": items[1], "attempt": 0, "entered_at": late})
        assert refused["errorType"] == "RunOverdue"
        outcomes = [{"rank": 0}, {"rank": 1, "error": {"Error": "RunOverdue", "Cause": json.dumps(refused)}}]
        failed = runs.invoke("summarize", {"state": {"run": run, "ranks": outcomes}, "entered_at": late})
        assert failed["errorType"] == "TooManyFailures"
        summary = runs.json("r/summary.json")
        assert (summary["samples"], [rank["error"] for rank in summary["failed_ranks"]]) == (20, ["RunOverdue"])


@pytest.mark.slow
def test_finished_partitions_outlive_a_download_that_never_ends(tmp_path: Path):
    """The third partition comes at 1 byte/s, in every attempt."""
    (tmp_path / "endpoint").mkdir()
    with faulty_runs(tmp_path / "endpoint", rank_timeout_s=8.0) as runs:
        runs.add_workers(1)
        prefix = runs.upload(tmp_path, 3, 20)
        runs.s3.faults.append(SickS3("GET", r"/galaxies/3\.safetensors", rate=1.0))
        began = time.monotonic()
        described = runs.execute(data_prefix=prefix, world_size=1, result_path="r")
        assert time.monotonic() - began < 3 * 8 + 15
        assert (described["status"], described["error"]) == ("FAILED", "TooManyFailures")
        cause = message_of(described["cause"])
        assert "rank 0: DeadlineExceeded: rank 0 ran out of its function's time in the download of" in cause
        assert "s3://faults/galaxies/3.safetensors" in cause
        assert "B/s" in cause
        summary = runs.json("r/summary.json")
        assert (summary["samples"], summary["partitions_completed"], summary["rows"]["in"]) == (40, 2, 40)
        check_tables(runs, "r", 40)
        for number in (1, 2):  # the second and third attempts take them over
            assert len(runs.s3.of("GET", rf"/galaxies/{number}\.safetensors")) == 1


@pytest.mark.slow
def test_a_stalled_download_is_tried_anew_and_a_rank_that_is_killed_goes_on_where_it_was(
    runs: FaultyRuns, tmp_path: Path
):
    runs.add_workers(2)
    prefix = runs.upload(tmp_path, 3, 20)
    stall = SickS3("GET", r"/galaxies/3\.safetensors", rate=1.0, times=2)
    runs.s3.faults.append(stall)
    run, items = runs.init("killed", data_prefix=prefix, world_size=1, result_path="r")
    first = runs.rank(items[0])
    while not runs.s3.of("PUT", r"/attempts/0/0/0\.parquet"):  # while it waits for the third
        time.sleep(0.01)
    (at_work,) = [worker for worker in runs.workers if worker.phases("start")]
    time.sleep(0.2)
    at_work.process.kill()
    assert first.end()["errorType"] == "Runtime.ExitError"
    assert runs.rank(items[0], attempt=1).end() == {"rank": 0}
    assert stall.met == 2  # the second attempt met it, too, and gave that download up
    record = runs.json("r/0.json")
    assert (record["attempt"], record["samples"], record["error"]) == (1, 60, None)
    assert runs.summarize(run)["samples"] == 60
    check_tables(runs, "r", 60)
