import pytest

from scripts.bench.rounds import Spread
from scripts.bench.words import in_two_lines, in_words, middle


@pytest.mark.parametrize(
    ("figure", "words"),
    [
        (Spread(16.0, 16.0, 16.0), "16"),
        (Spread(1.234, 0.5, 12.34), "1.23 (0.50-12.3)"),
        (Spread(5214.4, 999.6, 5400.0), "5,214 (1,000-5,400)"),
        (Spread(318_994_112.0, 1e6, 319e6), "318.99 M (1.00 M-319.00 M)"),
    ],
)
def test_figures_in_words(figure: Spread, words: str):
    assert in_words(figure) == words


def test_where_there_is_less_room():
    figure = Spread(5214.4, 999.6, 5400.0)
    assert in_two_lines(figure) == "5,214\n(1,000-5,400)"
    assert middle(figure) == "5,214"
