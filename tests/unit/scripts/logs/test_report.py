import json

import pytest

from scripts.logs.report import InvocationReport, reports_in

ID, OTHER = "8f5a1b2c-0000-4000-8000-000000000001", "8f5a1b2c-0000-4000-8000-000000000002"
TABS = (
    f"REPORT RequestId: {ID}\tDuration: 102.25 ms\tBilled Duration: 600 ms\tMemory Size: 3008 MB\t"
    "Max Memory Used: 133 MB\tInit Duration: 497.78 ms\t\nXRAY TraceId: 1-5f\tSegmentId: 12\tSampled: true"
)
WHOLE = InvocationReport(ID, 102.25, 600, 3008, 133, init_ms=497.78)


def platform_report(request_id: str = ID, **record: object) -> str:
    metrics = {
        "durationMs": 102.25,
        "billedDurationMs": 600,
        "memorySizeMB": 3008,
        "maxMemoryUsedMB": 133,
        "initDurationMs": 497.78,
    }
    content = {"requestId": request_id, "metrics": metrics, "status": "success", **record}
    return json.dumps({"time": "2026-11-28T12:00:00.000Z", "type": "platform.report", "record": content})


@pytest.mark.parametrize("text", [TABS, TABS.replace("\t", " "), f"2026-11-28 - {TABS}", f"[x] {TABS}\r\n"])
def test_text_is_read_with_tabs_and_with_blanks(text: str):
    assert list(reports_in(text)) == [WHOLE]


def test_json_is_read():
    [report] = reports_in(f"INFO {platform_report()} behind")
    assert report == InvocationReport(ID, 102.25, 600, 3008, 133, init_ms=497.78, status="success")
    turned = json.dumps(dict(reversed(json.loads(platform_report()).items())))
    assert list(reports_in(turned)) == [report]


def test_a_restore_is_read_in_both_forms():
    text = TABS.replace("Init Duration: 497.78 ms", "Restore Duration: 300.5 ms\tBilled Restore Duration: 301 ms")
    [report] = reports_in(text)
    assert report is not None
    assert (report.duration_ms, report.restore_ms, report.billed_restore_ms, report.init_ms) == (
        102.25,
        300.5,
        301,
        None,
    )
    metrics = json.loads(platform_report())["record"]["metrics"]
    metrics |= {"restoreDurationMs": 300.5, "billedRestoreDurationMs": 301}
    [report] = reports_in(platform_report(metrics=metrics))
    assert report is not None
    assert (report.restore_ms, report.billed_restore_ms) == (300.5, 301)


def test_a_timeout_counts_as_it_is_billed():
    [report] = reports_in(TABS.replace("102.25 ms", "3000.00 ms").replace("600 ms", "3498 ms") + "\tStatus: timeout")
    assert report is not None
    assert (report.duration_ms, report.billed_ms, report.status) == (3000, 3498, "timeout")
    [report] = reports_in(f"{TABS}\tStatus: error\tError Type: Runtime.ExitError")
    assert report is not None
    assert (report.status, report.error_type) == ("error", "Runtime.ExitError")
    [report] = reports_in(platform_report(status="timeout", errorType="Sandbox.Timedout"))
    assert report is not None
    assert (report.status, report.error_type) == ("timeout", "Sandbox.Timedout")


@pytest.mark.parametrize("length", range(len("REPORT RequestId: "), TABS.index("3008 MB") + 6))
def test_a_line_that_was_cut_is_no_report_and_costs_no_other(length: int):
    after = TABS.replace(ID, OTHER)
    assert [report and report.request_id for report in reports_in(TABS[:length] + after)] == [None, OTHER]
    assert list(reports_in(TABS[:length])) == [None]


@pytest.mark.parametrize("length", range(platform_report().index('"record"'), len(platform_report()), 7))
def test_json_that_was_cut_is_no_report_and_costs_no_other(length: int):
    text = platform_report()[:length] + platform_report(OTHER)
    assert [report and report.request_id for report in reports_in(text)] == [None, OTHER]


@pytest.mark.parametrize(
    "text",
    [
        TABS.replace(ID, ID[:-1]),
        TABS.replace("Billed Duration: 600 ms", "Billed Duration: 6"),
        TABS.replace("Duration: 102.25 ms\t", "", 1),  # neither Billed nor Init Duration takes its place
        platform_report("none"),
        platform_report(metrics=[1]),
        platform_report(metrics={"durationMs": True, "billedDurationMs": 1, "memorySizeMB": 1}),
        json.dumps({"type": "platform.report", "record": 3}),
    ],
)
def test_what_lacks_a_part_is_no_report(text: str):
    assert list(reports_in(text)) == [None]


def test_other_lines_have_no_report():
    assert not list(reports_in('{"event": "phase", "rank": 0}')) + list(reports_in("END RequestId: x"))
