"""What becomes of a run that ended early, on a bucket in memory; tests/integration has real ones."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lambda_image.errors import InvalidEvent
from lambda_image.events import parse
from lambda_image.handlers.init import init
from lambda_image.manifest import Assignment
from lambda_image.shares import complete_all
from lambda_image.storage import ObjectStore
from scripts.runs.late_summary import summarise_late
from tests.unit.lambda_image.handlers.fake_s3 import FakeS3

RUN, BEGUN = "arn:machine:run-1", datetime(2026, 1, 1, tzinfo=UTC)
INPUT = {"bucket": "b", "data_prefix": "d", "result_path": "r", "tolerated_failures": 2, "colour": "red"}


@pytest.fixture
def s3() -> FakeS3:
    """A run of two ranks, none of which has begun."""
    fake = FakeS3()
    fake.objects = {"d/1.pt": b"galaxies", "d/2.pt": b"galaxies"}
    store = ObjectStore("b", client=fake, missing=InvalidEvent)  # type: ignore[arg-type]
    init(parse(INPUT, RUN), store, store, store, started_at=BEGUN.timestamp())
    return fake


def described(status: str, **changes: Any) -> dict[str, Any]:
    times = {"startDate": BEGUN, "stopDate": BEGUN + timedelta(seconds=90)}
    return {"executionArn": RUN, "status": status, "input": json.dumps(INPUT), **times, **changes}


@pytest.mark.parametrize(
    ("status", "how"),
    [("ABORTED", "was stopped"), ("TIMED_OUT", "reached the time limit of the state machine"), ("FAILED", "failed")],
)
def test_the_summary_is_of_what_is_there_and_says_how_the_run_ended(s3: FakeS3, status: str, how: str):
    summary = summarise_late(s3, "b", "r", described(status))
    assert summary is not None
    assert json.loads(s3.objects["r/summary.json"]) == json.loads(json.dumps(summary.to_json()))
    assert (summary.status, summary.wall_s) == ("failed", 90.0)  # whatever the input tolerates
    assert [failure.error for failure in summary.failed_ranks] == ["PartMissing"] * 2
    assert summary.warnings[0] == (
        f"the run {how} before its last step, and this summary was made of what its ranks had left"
    )
    assert "colour" in summary.warnings[1]
    assert summarise_late(s3, "b", "r", described(status)) is None


def test_what_init_said_of_the_data_is_told(s3: FakeS3):
    s3.objects["d/4.pt"] = b""
    given = {**INPUT, "result_path": "late", "deal": "bytes"}
    store = ObjectStore("b", client=s3, missing=InvalidEvent)  # type: ignore[arg-type]
    begun = init(parse(given, RUN), store, store, store, started_at=BEGUN.timestamp())
    summary = summarise_late(s3, "b", "late", described("ABORTED", input=json.dumps(given)))
    assert summary is not None
    assert (tuple(summary.warnings[1:]), summary.deal) == (begun.warnings, "bytes")
    assert any("0 bytes" in warning for warning in summary.warnings)


@pytest.mark.parametrize(("given", "told"), [({}, 2), ({"fmi_enabled": True}, 1)])
def test_of_a_run_that_init_has_not_kept_the_input_tells_if_no_deployment_completed_it(
    s3: FakeS3, given: dict[str, bool], told: int
):
    items = [Assignment.from_json(item) for item in json.loads(s3.objects["r/manifest.json"])]
    store = ObjectStore("b", client=s3, missing=InvalidEvent)  # type: ignore[arg-type]
    whole = [replace(item, share=None).to_json() for item in complete_all(items, store)]  # as earlier versions did
    s3.objects["r/manifest.json"] = json.dumps(whole).encode()
    summary = summarise_late(s3, "b", "r", described("ABORTED", input=json.dumps({**INPUT, **given})))
    assert summary is not None
    assert len(summary.warnings) == told


@pytest.mark.parametrize("changes", [{"status": "RUNNING"}, {"status": "SUCCEEDED"}, {"executionArn": "arn:other"}])
def test_a_run_at_work_one_that_ended_well_and_one_whose_path_another_has_get_none(s3: FakeS3, changes: dict[str, Any]):
    assert summarise_late(s3, "b", "r", {**described("ABORTED"), **changes}) is None
    assert "r/summary.json" not in s3.objects


def test_a_run_that_init_has_not_begun_gets_none(s3: FakeS3):
    assert summarise_late(s3, "b", "elsewhere", described("ABORTED")) is None
