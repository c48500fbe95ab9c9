import io
import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from scripts.runs.place import Place
from scripts.runs.rank_watch import FIRST_LOOK_S, RankWatch
from scripts.runs.run_progress import MOST_BARS, RunProgress
from tests.unit.lambda_image.test_results import record
from tests.unit.scripts.runs.conftest import BUCKET

ARN = record(0)["execution"]
PREFIX = "results/r"


@dataclass
class MapRuns:
    """What Step Functions says of a map run."""

    counts: dict[str, int] = field(default_factory=dict)
    refusal: Exception | None = None
    at_once: int = 0
    asked: int = 0

    def list_map_runs(self, executionArn: str) -> dict[str, Any]:  # noqa: N803 - AWS's name
        self.asked += 1
        if self.refusal:
            raise self.refusal
        return {"mapRuns": [{"mapRunArn": "arn:map"}] if self.counts else []}

    def describe_map_run(self, mapRunArn: str) -> dict[str, Any]:  # noqa: N803 - AWS's name
        assert mapRunArn == "arn:map"
        return {"itemCounts": self.counts, "maxConcurrency": self.at_once}


class Watched:
    """A watch of a run whose ranks write to a real S3 endpoint."""

    def __init__(self, place: Place, runs: MapRuns, ranks: int | None = None) -> None:
        self.s3, self.out = place.client("s3"), io.StringIO()
        watched = Place("m", lambda name: runs if name == "stepfunctions" else self.s3, "us-east-1", "arn:m", BUCKET)
        self.progress = RunProgress(self.out, [])
        self.watch = RankWatch(watched, ARN, BUCKET, PREFIX, self.progress, ranks)

    def put(self, name: str, content: dict[str, Any]) -> None:
        self.s3.put_object(Bucket=BUCKET, Key=f"{PREFIX}/{name}", Body=json.dumps(content).encode())

    def lines(self, elapsed_s: float) -> list[str]:
        """What one more look says, without times."""
        before = len(self.out.getvalue())
        self.watch.look(elapsed_s)
        return [line.partition(" s  ")[2] or line for line in self.out.getvalue()[before:].splitlines()]


def claim(rank: int, attempt: int = 0) -> dict[str, Any]:
    return {"execution": ARN, "rank": rank, "attempt": attempt, "token": "t", "gather_error": None}


def test_ranks_begin_try_again_and_are_done(place: Place):
    watched = Watched(place, MapRuns({"total": 2, "running": 2}))
    assert watched.lines(0.0) == []
    watched.put("0.json", claim(0))
    watched.put("manifest.json", {})
    watched.put("attempts/1.json", claim(1))
    assert watched.lines(10.0) == ["rank 0  at work"]
    watched.put("0.json", {**claim(0), "tries": 1})  # another version with nothing new for people
    watched.put("1.json", claim(1, attempt=1))
    assert watched.lines(20.0) == ["rank 1  at work (attempt 2)"]
    watched.put("0.json", record(0))
    [done] = watched.lines(30.0)
    assert done.startswith("rank 0  done")
    assert f"{record(0)['samples']} samples" in done
    assert watched.lines(40.0) == []


def test_ranks_that_take_turns_are_shown_by_waves(place: Place):
    watched = Watched(place, MapRuns({"total": 4, "running": 2, "pending": 2}, at_once=2))
    assert watched.lines(0.0) == ["wave 1 of 2, 2 ranks at a time"]
    watched = Watched(place, MapRuns({"total": 1000, "running": 10, "pending": 970, "succeeded": 20}, at_once=10))
    assert watched.lines(0.0) == ["1,000 ranks, wave 3 of 100: 970 pending, 10 running, 20 succeeded"]


def test_what_an_earlier_run_has_left_is_no_news(place: Place):
    watched = Watched(place, MapRuns(), ranks=2)
    watched.put("0.json", {**record(0), "execution": "arn:earlier"})
    assert watched.lines(0.0) == []


def test_a_rank_that_failed_is_told_with_its_reason(place: Place):
    watched = Watched(place, MapRuns(), ranks=1)
    watched.put("0.json", {**record(0), "error": "PartitionMissing", "predictions": None})
    assert watched.lines(0.0) == ["rank 0 failed: PartitionMissing"]


def test_of_a_large_run_the_ranks_are_counted(place: Place):
    runs = MapRuns({"total": MOST_BARS + 1, "pending": 60, "running": 4, "succeeded": 1, "failed": 0})
    watched = Watched(place, runs)
    watched.put("0.json", record(0))
    assert watched.lines(0.0) == ["65 ranks: 60 pending, 4 running, 1 succeeded"]
    assert watched.lines(10.0) == []  # nothing has changed
    runs.counts = {"total": MOST_BARS + 1, "running": 60, "succeeded": 4, "failed": 1}
    assert watched.lines(20.0) == ["65 ranks: 60 running, 4 succeeded, 1 failed"]


def test_a_look_costs_requests_and_so_is_not_taken_each_time(place: Place):
    runs = MapRuns({"total": 1})
    watch = Watched(place, runs).watch
    runs.counts = {}
    for moment in (0.0, 0.1, FIRST_LOOK_S / 2, FIRST_LOOK_S, 100.0, 101.0, 103.9, 104.0):
        watch.look(moment)
    assert runs.asked == 4


@pytest.mark.parametrize(
    ("refusal", "told", "asked"),
    [
        (ClientError({"Error": {"Code": "AccessDeniedException"}}, "ListMapRuns"), 1, 1),
        (ClientError({"Error": {"Code": "ThrottlingException"}}, "ListMapRuns"), 0, 2),
        (EndpointConnectionError(endpoint_url="https://states"), 0, 2),
    ],
)
def test_progress_is_not_worth_a_run(place: Place, refusal: Exception, told: int, asked: int):
    runs = MapRuns(refusal=refusal)
    watched = Watched(place, runs, ranks=1)
    said = watched.lines(0.0) + watched.lines(100.0)
    assert sum("cannot be seen: ListMapRuns is denied" in line for line in said) == told
    assert runs.asked == asked
