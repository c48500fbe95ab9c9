import pytest
from rich.console import Console

from scripts.planning.check import MeasuredCase, check_table


def test_a_prediction_holds_within_the_tolerance_or_the_spread():
    assert MeasuredCase(1, 128, [10.0, 10.1, 9.9], 11.4).holds
    assert not MeasuredCase(1, 128, [10.0, 10.1, 9.9], 11.6).holds
    assert MeasuredCase(1, 128, [10.0, 12.5, 9.9], 12.4).holds
    assert not MeasuredCase(1, 128, [10.0, 10.1, 9.9], 8.4).holds
    assert MeasuredCase(1, 128, [10.0, 12.0, 9.0], 11.0).error == pytest.approx(0.1)


def test_the_table_marks_what_does_not_hold():
    console = Console(width=100)
    with console.capture() as captured:
        console.print(check_table([MeasuredCase(2, 256, [10.0, 10.2, 9.9], 13.0)]))
    row = captured.get().splitlines()[-1].split()
    assert row == ["2", "256", "13.00", "s", "10.00", "s", "9.90", "to", "10.20", "s", "+30%", "!"]
