import json
from pathlib import Path

import pytest

from scripts.cli import main
from tests.unit.scripts.logs.made_exports import as_console, as_insights, as_text, log


def test_files_are_read_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    first, second = tmp_path / "first.csv", tmp_path / "second.txt"
    first.write_text(as_insights(log()), newline="")
    second.write_text(as_text(log())[:-40])
    figures = tmp_path / "figures.json"
    words = ["logs", "--file", str(first), "--file", str(second), "--json", str(figures), "--csv", str(tmp_path / "c")]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "3, of 3 ranks" in said
    assert "2 reports of invocations that were reported before" in said
    written = json.loads(figures.read_text())
    assert [one["rank"] for one in written["invocations"]] == [0, 1, 2]
    assert written["totals"]["duplicates_removed"] == 2
    assert (tmp_path / "c").read_text().count("\n") == 4


def test_a_history_gives_the_times(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    export, history = tmp_path / "export.csv", tmp_path / "history.json"
    export.write_text(as_console(log()), newline="")
    kinds = [("ExecutionStarted", 1.0), ("MapStateEntered", 2.0), ("MapStateExited", 4.5), ("ExecutionSucceeded", 6.0)]
    history.write_text(json.dumps({"events": [{"type": kind, "timestamp": at} for kind, at in kinds]}))
    assert main(["logs", "--file", str(export), "--history", str(history), "--architecture", "arm64"]) == 0
    said = capsys.readouterr().out
    assert "execution       5.00 s" in said
    assert "Map             2.50 s" in said
    assert "arm64" in said


def test_a_file_without_a_report_is_no_success(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "empty").write_text("hello\n")
    assert main(["logs", "--file", str(tmp_path / "empty")]) == 1
    assert "there is no REPORT" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "which logs are meant? Give the ID of an execution, or --file EXPORT"),
        (["run-1", "--file", "x"], "which logs are meant?"),
        (["run-1", "--architecture", "arm64"], "--history and --architecture go with --file"),
        (["--file", __file__, "--json", "nowhere/out"], "--json nowhere/out would be in a folder that does not exist"),
        (["--file", __file__, "--csv", "nowhere/out"], "--csv nowhere/out would be in a folder that does not exist"),
    ],
)
def test_wrong_flags_are_refused_at_once(words: list[str], told: str, capsys: pytest.CaptureFixture[str]):
    assert main(["logs", *words]) == 2
    assert told in capsys.readouterr().err
