from scripts.logs.exports import LogEvent
from scripts.logs.invocations import find_invocations
from tests.unit.scripts.logs.made_exports import STREAMS, log, report, request_id


def test_reports_are_joined_to_ranks_by_the_stream():
    found = find_invocations(log(9), "rank")
    assert [one.rank for one in found.invocations] == list(range(9))
    assert {one.function for one in found.invocations} == {"rank"}
    assert found.events == 9 * 5


def test_duplicates_are_removed_and_counted():
    found = find_invocations(log() + log())
    assert [one.rank for one in found.invocations] == [0, 1, 2]
    assert found.duplicates == 3


def test_of_two_tellings_each_gives_what_the_other_lacks():
    bare = [LogEvent(None, report(0))]
    for events in (bare + log(1), log(1) + bare):
        [one] = find_invocations(events).invocations
        assert (one.rank, one.stream) == (0, STREAMS[0])


def test_two_environments_under_one_name_give_no_rank_a_wrong_report():
    events = [LogEvent(event.time_ms, event.message) for event in log(2)]
    order = [0, 5, 1, 6, 4, 9]  # both begin, both tell their rank, both end
    assert [one.rank for one in find_invocations([events[place] for place in order]).invocations] == [None, None]
    without_start = [event for event in events if not event.message.startswith("START")]
    assert [one.rank for one in find_invocations(without_start).invocations] == [None, None]


def test_lines_that_are_missing_give_no_rank_a_wrong_report():
    first, second = log(3)[:5], log(3)[10:]  # of one stream
    lost_between = [*first[:2], *second[1:]]  # the end of the first and the start of the second
    [one] = find_invocations(lost_between).invocations
    assert (one.report.request_id, one.rank) == (request_id(2), None)


def test_unreadable_reports_are_counted():
    cut = [LogEvent(1, report(rank)[:60], STREAMS[0]) for rank in range(2)]
    found = find_invocations([*cut, *log()])
    assert (found.unreadable, len(found.invocations)) == (2, 3)


def test_a_timeout_may_have_a_line_of_its_own():
    line = LogEvent(1, f"2026-11-28T12:00:00.000Z {request_id(0)} Task timed out after 3.00 seconds\n", STREAMS[0])
    [one] = find_invocations([line, *log(1)]).invocations
    assert (one.report.status, one.report.billed_ms) == ("timeout", 1500)


def test_json_logs_name_the_request_that_begins():
    def begin(rank: int) -> str:
        return f'{{"type": "platform.start", "record": {{"requestId": "{request_id(rank)}", "version": "$LATEST"}}}}'

    events = [LogEvent(event.time_ms, begin(0) if "START" in event.message else event.message) for event in log(1)]
    assert [one.rank for one in find_invocations(events).invocations] == [0]


def test_a_number_that_no_rank_has_is_none():
    line = LogEvent(1, '{"rank": ' + "9" * 5000 + ', "run_id": "r"}')
    assert find_invocations([line]).events == 1
