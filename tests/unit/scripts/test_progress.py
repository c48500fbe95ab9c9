import io

from scripts.progress import RunProgress


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


def test_what_goes_wrong_is_said():
    (said,) = lines({"event": "failed", "rank": 3, "error": "PartitionMissing", "message": "[no] such object"})
    assert said == "failed: rank 3, error PartitionMissing, message [no] such object"
    (said,) = lines({"event": "log", "stream": "stderr", "function": "rank", "line": "Traceback"})
    assert said == "rank: Traceback"
