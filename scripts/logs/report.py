"""The REPORT that Lambda writes after each invocation, as a line of text and as JSON (`platform.report`).

    REPORT RequestId: 8f5a...  Duration: 102.25 ms  Billed Duration: 103 ms  Memory Size: 128 MB  Max Memory Used: 33 MB
    {"time": "...", "type": "platform.report", "record": {"requestId": "8f5a...", "metrics": {...}}}

Fields are apart by tabs or blanks. Lines get cut, and lines of several writers get into one another. So each REPORT in
a piece of text is read for itself, and one that cannot be read costs no other.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

REQUEST_ID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
BEGIN = "REPORT RequestId:"
NUMBERS = {  # what stands in the text, and under metrics in JSON
    "Billed Restore Duration": "billedRestoreDurationMs",
    "Restore Duration": "restoreDurationMs",
    "Billed Duration": "billedDurationMs",
    "Init Duration": "initDurationMs",
    "Duration": "durationMs",
    "Memory Size": "memorySizeMB",
    "Max Memory Used": "maxMemoryUsedMB",
}
_ID = re.compile(rf"\s*({REQUEST_ID})(?![0-9a-f-])")
_NUMBER = re.compile(
    rf"(?<!Init )(?<!Billed )(?<!Restore )\b({'|'.join(NUMBERS)}): ([0-9]+(?:\.[0-9]+)?) (?:ms|MB)(?![A-Za-z])"
)
_STATUS = re.compile(r"\bStatus: (\w+)")
_ERROR_TYPE = re.compile(r"\bError Type: (\S+)")
_JSON_REPORT = re.compile(r'"type"\s*:\s*"platform\.report"')
_DECODER = json.JSONDecoder()


@dataclass(frozen=True)
class InvocationReport:
    """What Lambda reports of one invocation. Times are milliseconds. What is not reported is None."""

    request_id: str
    duration_ms: float
    billed_ms: float  # as it is billed, also after a timeout; it is never computed here
    memory_mb: int
    peak_mb: int | None = None
    init_ms: float | None = None
    restore_ms: float | None = None
    billed_restore_ms: float | None = None
    status: str | None = None  # success, timeout, error or failure; text has it only where something went wrong
    error_type: str | None = None


def reports_in(text: str) -> Iterator[InvocationReport | None]:
    """Reads all REPORTs in a piece of text.

    Args:
        text: A line of a log, or several, or what is left of some.

    Yields:
        Each report, and None for one of which too much is missing.
    """
    if BEGIN in text:
        for part in text.split(BEGIN)[1:]:
            yield _from_text(part)
    if "platform.report" in text:
        yield from _from_json(text)


def _from_text(part: str) -> InvocationReport | None:
    found = _ID.match(part)
    if found is None:
        return None
    metrics: dict[str, float] = {}
    for number in _NUMBER.finditer(part):
        metrics.setdefault(NUMBERS[number[1]], float(number[2]))
    status, error_type = _STATUS.search(part), _ERROR_TYPE.search(part)
    return _made(found[1], metrics, status and status[1], error_type and error_type[1])


def _from_json(text: str) -> Iterator[InvocationReport | None]:
    begin = 0
    for marker in _JSON_REPORT.finditer(text):
        if marker.start() < begin:
            continue  # within an object that has been read
        document, end = _object_around(text, begin, marker.start())
        begin = max(end, marker.end())
        record = document.get("record") if document else None
        if not isinstance(record, dict) or not isinstance(record.get("metrics"), dict):
            yield None
            continue
        metrics = {
            name: float(value)
            for name, value in record["metrics"].items()
            if isinstance(value, int | float) and not isinstance(value, bool)
        }
        request_id = str(record.get("requestId", ""))
        if re.fullmatch(REQUEST_ID, request_id) is None:
            yield None
            continue
        status, error_type = record.get("status"), record.get("errorType")
        yield _made(request_id, metrics, status and str(status), error_type and str(error_type))


def _object_around(text: str, begin: int, marker: int) -> tuple[dict[str, Any] | None, int]:
    """The JSON object in which `marker` lies, and where it ends. Objects nearest before it are tried first."""
    start = text.rfind("{", begin, marker)
    while start >= 0:
        try:
            found, end = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):
            pass
        else:
            if end > marker:
                return found, end
        start = text.rfind("{", begin, start)
    return None, marker


def _made(
    request_id: str, metrics: dict[str, float], status: str | None, error_type: str | None
) -> InvocationReport | None:
    if not {"durationMs", "billedDurationMs", "memorySizeMB"} <= metrics.keys():
        return None
    peak = metrics.get("maxMemoryUsedMB")
    return InvocationReport(
        request_id,
        metrics["durationMs"],
        metrics["billedDurationMs"],
        round(metrics["memorySizeMB"]),
        None if peak is None else round(peak),
        metrics.get("initDurationMs"),
        metrics.get("restoreDurationMs"),
        metrics.get("billedRestoreDurationMs"),
        status,
        error_type,
    )
