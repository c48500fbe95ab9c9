"""What is measured of one rank, with a backend that answers at once."""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pytest

from scripts.bench.comm.backends import Backend
from scripts.bench.comm.operations import OPERATIONS
from scripts.bench.comm.rank import Rounds, _value
from scripts.bench.comm.star import Star

WORLD, SIZE = 3, 40


class Instant:
    """A backend that has every rank's value."""

    def __init__(self, rank: int, *, wrong: bool = False) -> None:
        self.values = [_value(one, SIZE) + wrong for one in range(WORLD)]
        self.rank = rank
        self.called: list[str] = []

    def barrier(self) -> None:
        self.called.append("barrier")

    def gather(self, part: np.ndarray) -> Sequence[np.ndarray] | None:
        self.called.append("gather")
        return None if self.rank else self.values

    def bcast(self, value: np.ndarray) -> np.ndarray:
        self.called.append("bcast")
        return self.values[0]

    def allreduce(self, value: np.ndarray) -> np.ndarray:
        self.called.append("allreduce")
        return np.sum(self.values, axis=0)


class Gate:
    """Counts how often it is passed."""

    passed = 0

    def barrier(self, is_root: bool) -> None:
        self.passed += 1


def rounds(backend: Instant, gate: Gate) -> Rounds:
    return Rounds(backend.rank, WORLD, cast(Backend, backend), cast(Star, gate), collect=lambda: None)


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("operation", [name for name in OPERATIONS if name != "barrier"])
def test_each_time_starts_at_the_gate_and_warming_up_is_not_told(operation: str, rank: int) -> None:
    backend, gate = Instant(rank), Gate()
    times = rounds(backend, gate).run(operation, SIZE, count=3, warm_up=2)
    assert backend.called == [operation] * 5
    assert gate.passed == 5
    assert {name: len(values) for name, values in times.items()} == {"began": 3, "ended": 3, "cpu": 3}
    assert all(began <= ended for began, ended in zip(times["began"], times["ended"], strict=True))


def test_barriers_are_measured_back_to_back() -> None:
    backend, gate = Instant(0), Gate()
    times = rounds(backend, gate).run("barrier", 0, count=10, warm_up=2)
    assert (len(backend.called), gate.passed) == (12, 1)
    [began], [ended] = times["began"], times["ended"]
    assert began <= ended


@pytest.mark.parametrize("operation", ["gather", "bcast", "allreduce"])
def test_a_wrong_result_is_told_and_not_measured(operation: str) -> None:
    wrong: Any = rounds(Instant(0, wrong=True), Gate()).run(operation, SIZE, count=3, warm_up=0)
    assert wrong == {"error": f"rank 0 got a wrong result of {operation}"}


def test_values_are_whole_and_differ_between_ranks() -> None:
    own = [_value(rank, 8192) for rank in range(WORLD)]
    assert all(value.nbytes == 8192 for value in own)
    assert all((value == value.round()).all() for value in own)
    assert not np.array_equal(own[0], own[1])
