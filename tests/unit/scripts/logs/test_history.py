import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lambda_image.errors import InvalidEvent
from scripts.logs.history import ExecutionTimes, execution_times, read_history

KINDS = [
    ("ExecutionStarted", 0.0),
    ("TaskStateEntered", 0.1),
    ("MapStateEntered", 2.0),
    ("MapRunStarted", 2.1),
    ("MapRunSucceeded", 12.4),
    ("MapStateExited", 12.5),
    ("TaskStateEntered", 12.6),
    ("ExecutionSucceeded", 14.0),
]
START = datetime(2026, 11, 28, 12, tzinfo=UTC)


def history(count: int = len(KINDS)) -> list[dict[str, object]]:
    return [{"type": kind, "timestamp": START + timedelta(seconds=at)} for kind, at in KINDS[:count]]


def test_total_and_map_are_measured_in_any_order():
    assert execution_times(history()) == ExecutionTimes(14.0, 10.5, 2.0)
    assert execution_times(reversed(history())) == ExecutionTimes(14.0, 10.5, 2.0)


@pytest.mark.parametrize(
    ("count", "times"),
    [(0, (None, None)), (1, (None, None)), (5, (None, None, 2.0)), (6, (None, 10.5, 2.0)), (7, (None, 10.5, 2.0))],
)
def test_what_has_not_ended_has_no_time(count: int, times: tuple[float | None, ...]):
    assert execution_times(history(count)) == ExecutionTimes(*times)


@pytest.mark.parametrize("write", [lambda at: at.isoformat(), lambda at: at.timestamp(), lambda at: f"{at:%FT%T.%fZ}"])
def test_a_printed_history_is_read(write, tmp_path: Path):
    file = tmp_path / "history.json"
    events = [{**event, "timestamp": write(event["timestamp"])} for event in history()]
    file.write_text(json.dumps({"events": events}))
    assert execution_times(read_history(file)) == ExecutionTimes(14.0, 10.5, 2.0)


@pytest.mark.parametrize(
    "content", ["", "[]", '{"events": [{"type": "x"}]}', '{"events": [{"type": "x", "timestamp": "?"}]}']
)
def test_anything_else_is_refused(content: str, tmp_path: Path):
    file = tmp_path / "history.json"
    file.write_text(content)
    with pytest.raises(InvalidEvent, match="is no history of an execution"):
        read_history(file)
    with pytest.raises(InvalidEvent, match="cannot be read"):
        read_history(tmp_path / "none")


@pytest.mark.parametrize("moment", ["1e400", "NaN", "1e18", '"yesterday"', "null"])
def test_a_moment_that_is_none_is_refused(moment: str, tmp_path: Path):
    file = tmp_path / "history.json"
    file.write_text(f'{{"events": [{{"type": [], "timestamp": {moment}}}]}}')
    with pytest.raises(InvalidEvent, match=r"history\.json"):
        read_history(file)
