"""How long an execution and its Map took, from the execution's history."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from lambda_image.errors import InvalidEvent
from lambda_image.json_text import parse_json

ENDS = {"ExecutionSucceeded", "ExecutionFailed", "ExecutionAborted", "ExecutionTimedOut"}
MAP_ENDS = {"MapStateExited", "MapStateSucceeded", "MapStateFailed", "MapStateAborted"}


@dataclass(frozen=True)
class ExecutionTimes:
    """Times in seconds. Each is None while what it measures has not ended, or has not begun."""

    total_s: float | None
    map_s: float | None
    init_s: float | None = None  # until the Map began


def execution_times(history: Iterable[Mapping[str, Any]]) -> ExecutionTimes:
    """Measures an execution by its history.

    Args:
        history: The events of GetExecutionHistory, in any order. One that was redriven counts from its first start.
    """
    started: datetime | None = None
    ended: datetime | None = None
    map_started: datetime | None = None
    map_ended: datetime | None = None
    for event in history:
        kind, moment = event["type"], event["timestamp"]
        if kind == "ExecutionStarted":
            started = min(started or moment, moment)
        elif kind in ENDS:
            ended = max(ended or moment, moment)
        elif kind == "MapStateEntered":
            map_started = min(map_started or moment, moment)
        elif kind in MAP_ENDS:
            map_ended = max(map_ended or moment, moment)
    return ExecutionTimes(_seconds(started, ended), _seconds(map_started, map_ended), _seconds(started, map_started))


def read_history(file: Path) -> list[dict[str, Any]]:
    """Reads what `aws stepfunctions get-execution-history` has printed.

    Raises:
        InvalidEvent: the file holds none.
    """
    try:
        events = parse_json(file.read_bytes())["events"]
        return [{"type": str(event["type"]), "timestamp": _moment(event["timestamp"])} for event in events]
    except OSError as error:
        raise InvalidEvent(f"{file} cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, LookupError, OverflowError) as error:
        raise InvalidEvent(
            f"{file} is no history of an execution; aws stepfunctions get-execution-history prints one"
        ) from error


def _moment(value: object) -> datetime:
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value).astimezone()
    moment = datetime.fromisoformat(str(value))
    return moment if moment.tzinfo else moment.astimezone()


def _seconds(start: datetime | None, end: datetime | None) -> float | None:
    return None if start is None or end is None else (end - start).total_seconds()
