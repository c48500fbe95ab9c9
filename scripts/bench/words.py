"""Figures in words, for tables."""

from scripts.bench.rounds import Spread


def in_words(figure: Spread, between: str = " ") -> str:
    if figure.low == figure.high:
        return middle(figure)
    return f"{middle(figure)}{between}({_number(figure.low)}-{_number(figure.high)})"


def in_two_lines(figure: Spread) -> str:
    return in_words(figure, "\n")


def middle(figure: Spread) -> str:
    return _number(figure.median)


def _number(value: float) -> str:
    """Three digits at least, or a whole number as it is; millions as such."""
    if value >= 1e6:
        return f"{value / 1e6:.2f} M"
    if value == int(value) or value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
