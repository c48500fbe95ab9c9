import gzip
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from lambda_image.errors import InvalidEvent
from scripts.logs.exports import LogEvent, events_in, oldest_first, read_export
from scripts.logs.invocations import find_invocations
from tests.unit.scripts.logs.made_exports import (
    START_MS,
    STREAMS,
    as_console,
    as_insights,
    as_json,
    as_text,
    log,
    report,
    request_id,
)

FORMS = [as_json, as_insights, as_console, as_text]


def reported(text: str) -> list[str]:
    return [one.report.request_id for one in find_invocations(oldest_first(events_in(text))).invocations]


@pytest.mark.parametrize("form", FORMS)
def test_each_form_has_all_reports(form: Callable[..., str], tmp_path: Path):
    file = tmp_path / "export"
    file.write_text(form(log()), newline="")
    found = find_invocations(read_export(file))
    assert [one.report.request_id for one in found.invocations] == [request_id(rank) for rank in range(3)]
    assert [one.report.billed_ms for one in found.invocations] == [1500, 1501, 1502]
    assert [one.ended_ms for one in found.invocations] == [START_MS, START_MS, START_MS + 2000]
    assert found.unreadable == 0
    packed = tmp_path / "export.gz"
    packed.write_bytes(gzip.compress(file.read_bytes()))
    assert read_export(packed) == read_export(file)


@pytest.mark.parametrize("form", [as_json, as_insights])
def test_forms_that_name_streams_say_which_rank_it_was(form: Callable[..., str]):
    found = find_invocations(oldest_first(events_in(form(log()))))
    assert [(one.rank, one.stream, one.run_id) for one in found.invocations] == [
        (0, STREAMS[0], "run-1"),
        (1, STREAMS[1], "run-1"),
        (2, STREAMS[0], "run-1"),
    ]


def test_the_log_of_one_stream_says_which_rank_it_was_without_naming_it():
    events = [event for event in log() if event.stream == STREAMS[0]]
    for form in (as_console, as_text):
        assert [one.rank for one in find_invocations(events_in(form(events))).invocations] == [0, 2]


@pytest.mark.parametrize("form", [as_console, as_insights, as_text])
def test_no_cut_takes_a_record_with_it_that_is_whole(form: Callable[..., str]):
    text = form(log())
    middle = text.index(request_id(1), text.index(f"REPORT RequestId: {request_id(1)}"))
    for lost in (5, 40, 120):  # from the middle of a record on: the end of its line, its quotes, the next one's head
        left = reported(text[:middle] + text[middle + lost :])
        assert {request_id(0), request_id(2)} <= set(left), lost
    ends = [reported(text[:length]) for length in range(0, len(text), 13)]
    assert all(len(later) >= len(before) for before, later in pairwise(ends))


def test_a_quote_that_is_missing_does_not_swallow_what_follows():
    text = as_console(log()).replace('\t\n"', "\t\n", 1)
    assert reported(text) == [request_id(rank) for rank in range(3)]


def test_what_a_line_begins_with_is_not_part_of_its_message():
    stream = STREAMS[0]
    lines = [
        "2026-11-28T12:00:00.123Z - REPORT x",
        "2026-11-28T12:00:00.123456+00:00 " + stream + " REPORT x",
        "2026-11-28 12:00:00,123\tREPORT x",
        "1795867200123 REPORT x",
        "REPORT x",
        "- REPORT x",
    ]
    events = events_in("\n".join(lines))
    assert [event.message for event in events] == ["REPORT x"] * 6
    assert [event.time_ms for event in events] == [1_795_867_200_123] * 4 + [None] * 2
    assert [event.stream for event in events] == ["", stream, "", "", "", ""]


def test_lines_of_json_are_text_and_a_list_of_events_is_not():
    assert len(events_in('{"type": "platform.start"}\n{"type": "platform.report"}\n')) == 2
    assert events_in('[{"message": "m", "timestamp": 5}]') == [LogEvent(5, "m")]
    assert events_in("\ufeff"[1:] + "") == []


def test_columns_may_have_any_order():
    [event] = events_in('@logStream,@message,@timestamp\ns,"a,\nb",2026-11-28 12:00:00.000\n')
    assert event == LogEvent(1_795_867_200_000, "a,\nb", "s")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path):
    with pytest.raises(InvalidEvent, match="nothing cannot be read: No such file"):
        read_export(tmp_path / "nothing")
    cut = tmp_path / "cut.gz"
    cut.write_bytes(gzip.compress(report(0).encode())[:-9])
    with pytest.raises(InvalidEvent, match=r"cut\.gz cannot be read"):
        read_export(cut)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x1f\x8b\x08\x00\x00\x00\x00\x00" + b"x" * 40, None),
        (b"[" * 200_000, "["),
        (b"a\rb,message\n1,x\n", "a"),
        (b'[{"message": "a", "timestamp": true}, {"message": "b", "timestamp": []}]', "a"),
    ],
    ids=["gzip", "brackets", "line end", "times"],
)
def test_a_damaged_export_is_read_as_far_as_it_goes_or_refused(content: bytes, message: str | None, tmp_path: Path):
    file = tmp_path / "export"
    file.write_bytes(content)
    if message is None:
        with pytest.raises(InvalidEvent, match="export cannot be read"):
            read_export(file)
        return
    first, *_ = read_export(file)
    assert (first.time_ms, first.message[:1]) == (None, message)
