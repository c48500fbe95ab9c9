"""A log of three ranks in two environments, in each form in which people export it."""

import csv
import io
import json
from collections.abc import Sequence
from datetime import UTC, datetime

from scripts.logs.exports import LogEvent

START_MS = 1_795_885_929_000
STREAMS = ("2026/11/28/[$LATEST]" + "a" * 32, "2026/11/28/[$LATEST]" + "b" * 32)


def request_id(rank: int) -> str:
    return f"8f5a1b2c-0000-4000-8000-{rank:012d}"


def report(rank: int) -> str:
    first = "\tInit Duration: 500.00 ms" if rank < len(STREAMS) else ""
    return (
        f"REPORT RequestId: {request_id(rank)}\tDuration: {1000 + rank}.00 ms\tBilled Duration: {1500 + rank} ms\t"
        f"Memory Size: 3008 MB\tMax Memory Used: 133 MB{first}\t\n"
    )


def log(ranks: int = 3) -> list[LogEvent]:
    """The events of all ranks in the order of time. Two ranks are always at work, and their events share a moment."""
    events = []
    for first in range(0, ranks, len(STREAMS)):
        at_once = range(first, min(ranks, first + len(STREAMS)))
        for place, rank in enumerate(at_once):
            messages = [
                f"START RequestId: {request_id(rank)} Version: $LATEST\n",
                json.dumps({"event": "phase", "rank": rank, "phase": "start", "tries": 0, "run_id": "run-1"}) + "\n",
                json.dumps({"event": "failed", "rank": rank, "message": 'one,\n"two"'}) + "\n",
                f"END RequestId: {request_id(rank)}\n",
                report(rank),
            ]
            events += [LogEvent(START_MS + first * 1000, message, STREAMS[place]) for message in messages[:4]]
            events.append(LogEvent(START_MS + first * 1000, messages[4], STREAMS[place]))
    return events


def as_json(events: Sequence[LogEvent]) -> str:
    """As `aws logs filter-log-events` prints it."""
    made = [{"logStreamName": one.stream, "timestamp": one.time_ms, "message": one.message} for one in events]
    return json.dumps({"events": made, "searchedLogStreams": []}, indent=4)


def as_insights(events: Sequence[LogEvent]) -> str:
    """As Logs Insights exports it: newest first."""
    rows = [["@timestamp", "@message", "@logStream", "@log"]]
    group = "123456789012:/aws/lambda/cosmicai-rank"
    rows += [[_moment(one, " "), one.message, one.stream, group] for one in reversed(events)]
    return _csv(rows)


def as_console(events: Sequence[LogEvent]) -> str:
    """As CloudWatch's console exports the log of a stream."""
    return _csv([["timestamp", "message"], *([str(one.time_ms), one.message] for one in events)])


def as_text(events: Sequence[LogEvent]) -> str:
    """As a collector writes it."""
    return "".join(f"{_moment(one, 'T')}Z - {one.message.rstrip()}\n" for one in events)


def _moment(event: LogEvent, between: str) -> str:
    assert event.time_ms is not None
    moment = datetime.fromtimestamp(event.time_ms / 1000, UTC).replace(tzinfo=None)
    return moment.isoformat(between, "milliseconds")


def _csv(rows: Sequence[Sequence[str]]) -> str:
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue()
