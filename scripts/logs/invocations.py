"""Invocations as their logs tell of them. Reports are joined to ranks by the log stream.

An execution environment of Lambda has a log stream of its own and does one invocation at a time. What a rank logs
between two reports of a stream therefore belongs to the second of them.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace

from scripts.logs.exports import LogEvent
from scripts.logs.report import REQUEST_ID, InvocationReport, reports_in

_START = re.compile(
    rf'START RequestId: ({REQUEST_ID})|"type"\s*:\s*"platform\.start".*?"requestId"\s*:\s*"({REQUEST_ID})"'
)
_TIMED_OUT = re.compile(rf"({REQUEST_ID}) Task timed out after ")
_RANK = re.compile(r'"rank"\s*:\s*(\d{1,9})(?!\d)')
_RUN = re.compile(r'"run_id"\s*:\s*"([^"]+)"')


@dataclass(frozen=True)
class LoggedInvocation:
    """One invocation, with what is known of who it was. `ended_ms` are milliseconds since the epoch."""

    report: InvocationReport
    function: str = ""
    stream: str = ""
    ended_ms: int | None = None
    rank: int | None = None
    run_id: str | None = None


@dataclass
class FoundInvocations:
    """The invocations of some logs, in the order in which they ended."""

    invocations: list[LoggedInvocation] = field(default_factory=list)
    events: int = 0
    duplicates: int = 0  # reports of invocations that had been reported
    unreadable: int = 0  # reports that were cut, or that others were written into


@dataclass
class _OpenStream:
    """What a stream has told since its last report."""

    request_id: str | None = None
    ranks: set[int] = field(default_factory=set)
    run_id: str | None = None
    mixed: bool = False  # several environments under one name, since a second invocation began before the first ended


def find_invocations(events: Iterable[LogEvent], function: str = "") -> FoundInvocations:
    """Finds the invocations in the events of a log.

    Args:
        events: In any order, as long as those of one millisecond and stream follow each other as they were written.
        function: The name of the function whose log it is, where that is known.
    """
    found = FoundInvocations()
    streams: dict[str, _OpenStream] = {}
    by_id: dict[str, LoggedInvocation] = {}
    timed_out: set[str] = set()
    for event in _in_order(list(events)):
        found.events += 1
        message = event.message
        stream = streams.setdefault(event.stream, _OpenStream())
        if "REPORT" in message or "platform.report" in message:
            for report in reports_in(message):
                if report is None:
                    found.unreadable += 1
                else:
                    made = _closed(event, stream, report, function)
                    found.duplicates += report.request_id in by_id
                    by_id[report.request_id] = _merged(by_id.get(report.request_id), made)
                streams[event.stream] = stream = _OpenStream(mixed=stream.mixed)
        elif late := _TIMED_OUT.search(message):
            timed_out.add(late[1])
        elif ("START" in message or "platform.start" in message) and (begun := _START.search(message)):
            request_id = begun[1] or begun[2]
            mixed = stream.mixed or (stream.request_id not in (None, request_id) and not event.stream)
            streams[event.stream] = _OpenStream(request_id, mixed=mixed)
        else:
            stream.ranks.update(int(rank[1]) for rank in _RANK.finditer(message))
            if run := _RUN.search(message):
                stream.run_id = run[1]
    found.invocations = [_with_timeout(one, timed_out) for one in by_id.values()]
    return found


def _in_order(events: list[LogEvent]) -> list[LogEvent]:
    """By time. An event that has none follows the one before it."""
    keys: list[int] = []
    for event in events:
        keys.append(event.time_ms if event.time_ms is not None else keys[-1] if keys else 0)
    order = sorted(range(len(events)), key=keys.__getitem__)
    return [events[place] for place in order]


def _closed(event: LogEvent, stream: _OpenStream, report: InvocationReport, function: str) -> LoggedInvocation:
    # More than one rank in one invocation, or the report of another one, shows that lines are missing between. Where a
    # file does not name streams, nothing but the line of its start says whose lines these are.
    same = stream.request_id == report.request_id or (stream.request_id is None and event.stream != "")
    known = len(stream.ranks) == 1 and not stream.mixed and same
    rank = next(iter(stream.ranks)) if known else None
    run_id = stream.run_id if known or not stream.ranks else None
    return LoggedInvocation(report, function or event.group, event.stream, event.time_ms, rank, run_id)


def _merged(before: LoggedInvocation | None, after: LoggedInvocation) -> LoggedInvocation:
    """One of two tellings of an invocation, with what only the other one knows."""
    if before is None:
        return after
    missing = {one.name for one in fields(before) if getattr(before, one.name) in (None, "")}
    return replace(before, **{name: getattr(after, name) for name in missing})


def _with_timeout(one: LoggedInvocation, timed_out: set[str]) -> LoggedInvocation:
    """Older logs tell of a timeout in a line of its own."""
    if one.report.status is not None or one.report.request_id not in timed_out:
        return one
    return replace(one, report=replace(one.report, status="timeout"))
