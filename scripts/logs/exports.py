"""Log events in the files that people export them to.

| form | made by | time | order |
| --- | --- | --- | --- |
| JSON | `aws logs filter-log-events` and `get-log-events` | ms since the epoch | oldest first |
| CSV with @timestamp, @message, @logStream | Logs Insights | ISO 8601, UTC | newest first |
| CSV with timestamp, message | CloudWatch's console | ms since the epoch | oldest first |
| text | an export to S3, `aws logs tail`, collectors | before the message, perhaps with " - " | any |

A file may be compressed by gzip. A record that was cut must not take the next ones with it. So a CSV file is cut
where a line begins with a time, and only then read as CSV.
"""

import csv
import gzip
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from lambda_image.errors import InvalidEvent
from lambda_image.json_text import parse_json

COLUMNS = {  # what a column is called, in small letters and without its @
    "timestamp": "time",
    "time": "time",
    "message": "message",
    "logstream": "stream",
    "logstreamname": "stream",
    "log": "group",
    "loggroup": "group",
}
LONGEST_FIELD = 16 * 1024 * 1024  # characters; a log event has 1 MB at most
_EPOCH_MS = re.compile(r"\d{12,14}")
_ISO = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?"
_RECORD = re.compile(rf'^"?(?:\d{{12,14}}|{_ISO})"?(?=,|\s*$)', re.MULTILINE)
_STREAM = r"\d{4}/\d\d/\d\d/(?:[\w-]+)?\[[^\]\s]+\][0-9a-f]{32}"
_LINE = re.compile(rf"\s*(?:({_ISO}|\d{{13}}(?=\s))(?:\s+-\s+|[\s,]+|$))?(?:({_STREAM})\s+)?(?:-\s+)?")
_FRACTION = re.compile(r"[.,](\d+)")


@dataclass(frozen=True)
class LogEvent:
    """One event of a log. `time_ms` are milliseconds since the epoch, or None where the file does not say."""

    time_ms: int | None
    message: str
    stream: str = ""
    group: str = ""


def read_export(file: Path) -> list[LogEvent]:
    """Reads an exported file, in whichever form it is.

    Returns:
        Its events, the oldest first.

    Raises:
        InvalidEvent: the file cannot be read.
    """
    try:
        content = file.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise InvalidEvent(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    return oldest_first(events_in(content.decode("utf-8-sig", "replace")))


def oldest_first(events: list[LogEvent]) -> list[LogEvent]:
    """Turns round what is newest first. Events of one millisecond then follow each other as they were written."""
    times = [event.time_ms for event in events if event.time_ms is not None]
    return events[::-1] if times and times[0] > times[-1] else events


def events_in(text: str) -> list[LogEvent]:
    """Reads exported text, in whichever form it is."""
    start = text.lstrip()[:1]
    if start in ("{", "[") and (found := _from_json(text)) is not None:
        return found
    columns = _columns(text.lstrip("\r\n").partition("\n")[0])
    return list(_from_csv(text, columns) if columns else _from_lines(text))


def _from_json(text: str) -> list[LogEvent] | None:
    try:
        document = parse_json(text)
    except ValueError:
        return None  # lines of JSON, or a file that was cut
    events = document.get("events") if isinstance(document, dict) else document
    if not isinstance(events, list) or not all(isinstance(event, dict) and "message" in event for event in events):
        return None
    return [of_cloudwatch(event) for event in events]


def of_cloudwatch(event: Mapping[str, Any], group: str = "") -> LogEvent:
    """Makes an event of what FilterLogEvents and GetLogEvents answer."""
    time_ms = event.get("timestamp")
    known = time_ms if type(time_ms) is int else None
    return LogEvent(known, str(event["message"]), str(event.get("logStreamName", "")), group)


LONGEST_HEAD = 1_000  # characters; columns have short names


def _columns(line: str) -> list[str] | None:
    """What each column holds, if a line is the head of a CSV file with messages."""
    if len(line) > LONGEST_HEAD:
        return None
    try:
        names = next(csv.reader([line]), [])
    except csv.Error:
        return None
    found = [COLUMNS.get(name.strip().lower().removeprefix("@"), "") for name in names]
    return found if "message" in found else None


def _from_csv(text: str, columns: list[str]) -> Iterator[LogEvent]:
    csv.field_size_limit(LONGEST_FIELD)
    body = text.lstrip("\r\n").partition("\n")[2]
    if columns[0] != "time":  # where records begin shows only in the quotes
        yield from (_of_record(fields, columns) for fields in _rows(body))
        return
    bounds = [*(found.start() for found in _RECORD.finditer(body)), len(body)]
    yield from _from_lines(body[: bounds[0]])
    for start, end in pairwise(bounds):
        record = body[start:end].rstrip("\r\n")
        if "\n" not in record and '"' not in record:
            yield _of_record(record.split(",", len(columns) - 1), columns)
            continue
        fields, *rest = _rows(record)
        yield _of_record(fields, columns)
        for row in rest:  # their own beginnings were lost
            yield LogEvent(None, ",".join(row))


def _rows(text: str) -> list[list[str]]:
    """Of CSV; a line that is none, because of what stands in its middle, is a row of one field."""
    try:
        return list(csv.reader(text.splitlines(keepends=True)))
    except csv.Error:
        return [[line] for line in text.splitlines()]


def _of_record(fields: Sequence[str], columns: Sequence[str]) -> LogEvent:
    if len(fields) < min(2, len(columns)):  # what there is may be a message
        return LogEvent(None, ",".join(fields))
    row = dict(zip(columns, fields, strict=False))
    return LogEvent(_milliseconds(row.get("time", "")), row.get("message", ""), row.get("stream", ""))


def _from_lines(text: str) -> Iterator[LogEvent]:
    for line in text.splitlines():
        if not line.strip():
            continue
        found = _LINE.match(line)
        assert found is not None  # as every part of it may be missing
        yield LogEvent(_milliseconds(found[1] or ""), line[found.end() :], found[2] or "")


def _milliseconds(text: str) -> int | None:
    text = text.strip()
    if _EPOCH_MS.fullmatch(text):
        return int(text)
    try:
        exact = _FRACTION.sub(lambda found: f".{found[1][:6]:0<6}", text.replace("Z", "+00:00"))
        moment = datetime.fromisoformat(exact)
    except ValueError:
        return None
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
