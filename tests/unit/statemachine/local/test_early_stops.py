from typing import Any

from statemachine.local.early_stops import BEGIN_S, PAUSE_S, wait_for_program


class Environment:
    """What moto knows of a program, whose state is None until it runs."""

    def __init__(self, state: object = None) -> None:
        self.state = state

    def program_state(self) -> object:
        return self.state


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def waited(*environments: Any) -> float:
    """Seconds until a stop, where each look finds the next of these, and then the last."""
    left, clock = list(environments), Clock()
    wait_for_program(lambda: left.pop(0) if len(left) > 1 else left[0], clock, clock.sleep)
    return clock.now


def test_a_program_that_runs_or_has_run_is_stopped_at_once():
    assert waited(Environment("running")) == 0.0


def test_one_that_has_not_begun_is_waited_for():
    assert waited(None, Environment(), Environment("running")) == 2 * PAUSE_S


def test_one_that_never_begins_is_not_waited_for_without_end():
    assert BEGIN_S <= waited(None) < BEGIN_S + 1.0
