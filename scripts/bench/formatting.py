"""Figures as text, for tables."""

from collections.abc import Callable, Iterable

from scripts.bench.rounds import OTHER_WORK
from scripts.series import Series, Spread, spread

NOTHING = "-"  # where nothing was measured
MEDIANS = "Medians of the rounds, with the lowest and the highest."


def format_number(value: float) -> str:
    """Return at least three digits, or a whole number as it is, and millions as such."""
    if value >= 1e6:
        return f"{value / 1e6:.2f} M"
    if value == int(value) or value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def format_spread(figure: Spread, number: Callable[[float], str] = format_number, between: str = " ") -> str:
    """Return the median with the lowest and the highest round, or the median alone where these read the same."""
    median, low, high = (number(value) for value in (figure.median, figure.low, figure.high))
    return median if low == high else f"{median}{between}({low}-{high})"


def format_spread_in_two_lines(figure: Spread) -> str:
    """Return the median in one line and the lowest and the highest round in the next."""
    return format_spread(figure, between="\n")


def format_median(figure: Spread) -> str:
    """Return the median alone."""
    return format_number(figure.median)


def format_other_work(series: Iterable[Series]) -> str:
    """Return a sentence about how busy the machine was with other things, or nothing where that is not known."""
    cores = [figures[OTHER_WORK] for one in series for figures in one.rounds if OTHER_WORK in figures]
    if not cores:
        return ""
    figure = spread(cores)
    return f" Other work took {figure.median:.2f} cores meanwhile, {figure.high:.2f} in the busiest round."
