import pytest

from scripts.training.steps import WARM_UP, Pace


def test_the_rate_rises_and_falls_to_nothing_as_steps_are_done() -> None:
    pace = Pace(steps=1000)
    rates = []
    for pace.step in range(1001):
        rates.append(pace.rate())
    assert rates.index(max(rates)) == pytest.approx(1000 * WARM_UP, abs=2)
    assert rates[0] < 0.01
    assert rates[-1] == pytest.approx(0, abs=1e-9)
    assert pace.done == 1


def test_a_training_ends_by_steps_however_long_they_take() -> None:
    assert Pace(steps=1000, step=500, before=1e9).done == 0.5
    assert Pace(steps=1000, step=1000).done == 1
    assert Pace(steps=1000, before=300).seconds >= 300
