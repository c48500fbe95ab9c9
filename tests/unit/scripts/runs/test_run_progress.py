import io
import re

import pytest

from scripts.runs.run_progress import MOST_BARS, RunProgress


def lines(*events: dict) -> list[str]:
    out = io.StringIO()
    with RunProgress(out, [100, 50]) as progress:
        for event in events:
            progress.show(event)
    return out.getvalue().splitlines()


def test_elsewhere_than_on_a_terminal_each_phase_is_one_line():
    said = lines(
        {"event": "phase", "rank": 1, "phase": "download", "object": "d/1.pt"},
        {"event": "phase", "rank": 1, "phase": "inference", "samples": 10, "samples_per_s": 99.6},
        {"event": "phase", "rank": 1, "phase": "inference", "samples": 11, "samples_per_s": 99.6},  # too soon after it
        {"event": "report", "function": "rank"},
    )
    assert len(said) == 2
    assert "rank 1  download" in said[0]
    assert "10 of 50 samples" in said[1]
    assert said[1].endswith("100 samples/s")


def test_the_ranks_of_a_large_run_are_counted_and_not_listed():
    out = io.StringIO()
    ranks = MOST_BARS + 1
    with RunProgress(out, [10] * ranks) as progress:
        for phase in ("download", "inference", "done"):
            for rank in range(ranks):
                progress.show({"event": "phase", "rank": rank, "phase": phase, "samples": 10, "samples_per_s": 5.0})
    first, *_, last = [line.partition(" s  ")[2] for line in out.getvalue().splitlines()]
    assert first == "65 ranks: 64 pending, 1 running"
    assert last == "65 ranks: 65 succeeded"
    assert len(out.getvalue().splitlines()) < 10


def test_a_large_run_has_one_bar(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes the stream for a terminal
    progress = RunProgress(io.StringIO(), [])
    progress.count({"total": 10_000, "pending": 9_000, "running": 900, "succeeded": 97, "failed": 3})
    progress.count({"total": 10_000, "pending": 9_000, "running": 899, "succeeded": 98, "failed": 3})
    assert progress._bars is not None
    (task,) = progress._bars.tasks
    assert (task.fields["name"], task.fields["phase"], task.fields["rate"]) == (
        "10,000 ranks",
        "899 at work",
        "3 failed",
    )
    assert (task.completed, task.total) == (101, 10_000)


def test_a_large_run_says_in_which_wave_its_ranks_are(monkeypatch: pytest.MonkeyPatch):
    counts = {"total": 1000, "pending": 700, "running": 100, "succeeded": 200}
    out = io.StringIO()
    plain = RunProgress(out, [])
    plain.turn(begun=300, ranks=1000, at_once=100)
    plain.count(counts)
    assert out.getvalue().endswith("1,000 ranks, wave 3 of 10: 700 pending, 100 running, 200 succeeded\n")
    monkeypatch.setenv("FORCE_COLOR", "1")
    drawn = RunProgress(io.StringIO(), [])
    drawn.turn(begun=301, ranks=1000, at_once=100)
    drawn.count(counts)
    assert drawn._bars is not None
    assert drawn._bars.tasks[0].fields["name"] == "1,000 ranks, wave 4 of 10"


def test_a_small_run_says_each_wave_once_and_ranks_that_are_all_at_work_have_none():
    out = io.StringIO()
    progress = RunProgress(out, [])
    for begun in (0, 1, 2, 3, 4, 5, 5):
        progress.turn(begun, ranks=5, at_once=2)
        progress.turn(begun, ranks=5, at_once=5)
        progress.turn(begun, ranks=5, at_once=0)
    said = [line.partition(" s  ")[2] for line in out.getvalue().splitlines()]
    assert said == [f"wave {wave} of 3, 2 ranks at a time" for wave in (1, 2, 3)]


def test_failures_of_a_large_run_are_counted_by_kind():
    out = io.StringIO()
    with RunProgress(out, [10] * 1000) as progress:
        for rank in range(1000):
            progress.show({"event": "failed", "rank": rank, "error": "PartitionMissing", "message": "m"})
        progress.show({"event": "failed", "rank": 5, "error": "StorageUnavailable", "message": "m"})
    said = out.getvalue().splitlines()
    assert len(said) == 5
    assert said[0] == "rank 0 failed: PartitionMissing: m"
    assert said[3] == "rank 5 failed: StorageUnavailable: m"
    assert said[4] == "failed PartitionMissing: 1,000 times in all, of which the first 3 are shown"


def test_what_goes_wrong_is_said():
    (said,) = lines({"event": "failed", "rank": 3, "error": "PartitionMissing", "message": "[no] such object"})
    assert said == "rank 3 failed: PartitionMissing: [no] such object"
    assert lines({"event": "warning", "message": "the server is lost"}) == ["warning: the server is lost"]
    (said,) = lines({"event": "gather_failed", "rank": 2, "error": "NoGather", "message": "rank 0 was lost"})
    assert said == "rank 2 is not in the gather, so that its part goes by way of storage: rank 0 was lost"
    (said,) = lines({"event": "gather_incomplete", "rank": 0, "missing": {"4": "rank 4 is gone", "7": "it, too"}})
    assert said == "rank 0 gathers without the parts of 2 ranks (4, 7): rank 4 is gone"
    (said,) = lines({"event": "gather_incomplete", "rank": 0, "missing": {str(rank): "gone" for rank in range(9)}})
    assert said == "rank 0 gathers without the parts of 9 ranks (0, 1, 2, 3, 4 and others): gone"
    (said,) = lines({"event": "log", "stream": "stderr", "function": "rank", "line": "Traceback"})
    assert said == "rank: Traceback"


def test_why_pytorch_answers_is_said_once():
    reason = {"event": "engine", "message": "eager PyTorch answers: no compiled engine"}
    assert lines(reason, reason) == ["eager PyTorch answers: no compiled engine"]


def test_a_long_line_is_one_line():
    (said,) = lines({"event": "failed", "rank": 3, "message": "word " * 50})
    assert said.count("word") == 50


@pytest.mark.parametrize(("returncode", "words"), [(-9, "was killed by SIGKILL"), (1, "ended with status 1")])
def test_a_killed_rank_is_seen(returncode: int, words: str):
    event = {"event": "worker_exited", "function": "rank", "worker": 77, "returncode": returncode, "started": True}
    (said,) = lines(event)
    assert "77" in said
    assert words in said


def test_workers_that_end_with_the_endpoint_are_no_news():
    out = io.StringIO()
    progress = RunProgress(out, [1])
    with progress:
        progress.show({"event": "worker_exited", "function": "rank", "worker": 77, "returncode": 0})
        progress.show({"event": "worker_exited", "function": "init", "worker": 78, "returncode": -9})
    progress.show({"event": "worker_exited", "function": "rank", "worker": 77, "returncode": -15})
    assert out.getvalue() == ""


def test_the_clock_of_a_bar_starts_with_the_run(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes the stream for a terminal
    progress = RunProgress(io.StringIO(), [1])
    assert progress._bars is not None
    (task,) = progress._bars.tasks
    assert task.elapsed is None
    with progress:
        assert task.elapsed is not None


def test_the_bars_leave_room_for_the_echo_of_an_interrupt(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    out = io.StringIO()
    with RunProgress(out, [100, 100]) as progress:
        progress.show({"event": "phase", "rank": 1, "phase": "inference", "samples": 10, "samples_per_s": 99.6})
    lines = [re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", line) for line in out.getvalue().splitlines()]
    assert any("rank 1 inference" in line for line in lines)
    assert max(map(len, lines)) == 76


def test_a_rank_of_which_nobody_knows_the_total_is_shown_without_one():
    out = io.StringIO()
    with RunProgress(out, []) as progress:
        progress.show({"event": "phase", "rank": 7, "phase": "done", "samples": 10, "samples_per_s": 99.6})
    assert out.getvalue().split("rank 7")[1].split() == ["done", "10", "samples", "100", "samples/s"]


def test_ranks_of_a_large_run_are_counted_when_the_counts_change():
    out = io.StringIO()
    progress = RunProgress(out, [])
    counts = {"total": 5000, "pending": 4000, "running": 1000, "succeeded": 0, "failed": 0, "aborted": 0}
    for _ in range(2):
        progress.count(counts)
    progress.count({**counts, "running": 999, "succeeded": 1})
    first, second = out.getvalue().splitlines()
    assert first.endswith(" s  5,000 ranks: 4,000 pending, 1,000 running")
    assert second.endswith(": 4,000 pending, 999 running, 1 succeeded")


def test_bars_come_with_the_ranks_and_a_full_one_is_full(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    progress = RunProgress(io.StringIO(), [])
    assert progress._bars is not None
    with progress:
        progress.expect(3)
        progress.expect(2)  # they stay
        progress.show({"event": "phase", "rank": 1, "phase": "done", "samples": 10})
        progress.show({"event": "phase", "rank": 3, "phase": "at work"})
        progress.expect(MOST_BARS + 1)
        assert [task.total for task in progress._bars.tasks] == [None, 10, None, None]
        assert progress._bars.tasks[1].finished


def test_while_the_user_is_asked_nothing_is_drawn(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    progress = RunProgress(io.StringIO(), [1])
    assert progress._bars is not None
    with progress.paused():
        pass
    assert not progress._bars.live.is_started  # nor is it afterwards, where it was not before
    with progress:
        with progress.paused():
            assert not progress._bars.live.is_started
        assert progress._bars.live.is_started
