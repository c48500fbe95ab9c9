from io import StringIO

from rich.console import Console

from scripts.step_progress import StepProgress


def test_plain_lines_come_no_more_often_than_their_interval_and_are_never_broken():
    out = StringIO()
    what = "a step with a name that is longer than the width that a console has where it knows of no terminal " * 2
    with StepProgress(out) as progress:
        progress.begin(3)
        progress.step(what)
        progress.step("too soon after it")
        progress.say("[said] at once")
    first, said = out.getvalue().splitlines()
    assert first.endswith(f"1 of 3  {what}")
    assert said == "[said] at once"


def test_a_terminal_gets_a_bar(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    out = StringIO()
    assert Console(file=out).is_terminal
    with StepProgress(out) as progress:
        progress.begin(2)
        progress.step("the first")
        progress.step("the second")
    assert "the second" in out.getvalue()
    assert "2/2" in out.getvalue()
