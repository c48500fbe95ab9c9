import io

from scripts.importing.progress import ImportProgress


def test_plain_lines_come_at_most_once_in_an_interval():
    now = 100.0
    out = io.StringIO()
    with ImportProgress(out, 4000, lambda: now) as shown:
        for seconds in (0.5, 0.6, 2.0, 2.5):
            now = 100.0 + seconds
            shown.advance(1000)
    assert out.getvalue() == "   2.0 s  3,000 of 4,000 galaxies  1,500 galaxies/s\n"


def test_a_terminal_gets_a_bar():
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    out = Terminal()
    with ImportProgress(out, 4000) as shown:
        shown.advance(1000)
        shown.advance(3000)
    assert "4000/4000" in out.getvalue()
