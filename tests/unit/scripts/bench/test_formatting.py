import pytest

from scripts.bench.formatting import format_median, format_other_work, format_spread, format_spread_in_two_lines
from scripts.series import Series, Spread


@pytest.mark.parametrize(
    ("figure", "words"),
    [
        (Spread(16.0, 16.0, 16.0), "16"),
        (Spread(133.2, 132.9, 133.4), "133"),
        (Spread(1.234, 0.5, 12.34), "1.23 (0.50-12.3)"),
        (Spread(5214.4, 999.6, 5400.0), "5,214 (1,000-5,400)"),
        (Spread(318_994_112.0, 1e6, 319e6), "318.99 M (1.00 M-319.00 M)"),
    ],
)
def test_figures_format_spread(figure: Spread, words: str):
    assert format_spread(figure) == words


def test_where_there_is_less_room():
    figure = Spread(5214.4, 999.6, 5400.0)
    assert format_spread_in_two_lines(figure) == "5,214\n(1,000-5,400)"
    assert format_median(figure) == "5,214"


def test_digits_can_be_chosen():
    assert format_spread(Spread(1234.5, 1000.0, 2000.0), "{:,.2f}".format) == "1,234.50 (1,000.00-2,000.00)"


def test_other_work_is_told_where_it_is_known():
    series = [Series({}, [{"ms": 1.0, "other_work_cores": 0.5}, {"other_work_cores": 1.5}]), Series({}, [{"ms": 1.0}])]
    assert format_other_work(series) == " Other work took 1.00 cores meanwhile, 1.50 in the busiest round."
    assert format_other_work(series[1:]) == ""
