from io import StringIO

from scripts.galaxy_progress import GalaxyProgress


def test_plain_lines_come_at_most_once_in_an_interval():
    now = 50.0
    out = StringIO()
    with GalaxyProgress(out, lambda: now) as shown:
        shown.say("[said] at once")
        now = 100.0
        shown.begin(4000)
        for seconds in (0.5, 0.6, 2.0, 2.5):
            now = 100.0 + seconds
            shown.advance(1000)
    assert out.getvalue() == "[said] at once\n   2.0 s  3,000 of 4,000 galaxies  1,500 galaxies/s\n"


def test_a_terminal_gets_a_bar(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    out = StringIO()
    with GalaxyProgress(out) as shown:
        shown.begin(4000)
        shown.advance(1000)
        shown.advance(3000)
    assert "1000/4000" in out.getvalue()
    assert "4000/4000" in out.getvalue()


def test_each_dataset_is_counted_from_nothing():
    now, out = 0.0, StringIO()
    with GalaxyProgress(out, lambda: now) as shown:
        for total in (1000, 500):
            shown.begin(total)
            now += 2.0
            shown.advance(total)
    assert out.getvalue().splitlines()[-1] == "   2.0 s  500 of 500 galaxies  250 galaxies/s"
