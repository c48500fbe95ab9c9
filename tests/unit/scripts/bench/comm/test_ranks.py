"""How the ranks of a contender are asked. They are started in tests/integration."""

from typing import Any, cast

import pytest

from scripts.bench.comm.contenders import PLAIN
from scripts.bench.comm.ranks import Ranks
from scripts.bench.errors import BenchmarkError
from scripts.bench.processes import MeasuredProcess


class Answering:
    """A process that answers this to everything."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self.told: list[dict[str, Any]] = []
        self._answer = answer

    def tell(self, **what: Any) -> None:
        self.told.append(what)

    def answer(self) -> dict[str, Any]:
        return self._answer


def ranks(*processes: Answering) -> Ranks:
    return Ranks(PLAIN, [cast(MeasuredProcess, process) for process in processes])


def test_all_ranks_are_asked_before_any_answer_is_awaited() -> None:
    class Waiting(Answering):
        def answer(self) -> dict[str, Any]:
            assert all(process.told for process in processes)
            return super().answer()

    processes = [Waiting({"began": [rank]}) for rank in range(3)]
    answers = ranks(*processes).round("bcast", 1000, count=5, warm_up=2)
    assert answers == [{"began": [0]}, {"began": [1]}, {"began": [2]}]
    assert processes[2].told == [{"operation": "bcast", "size": 1000, "count": 5, "warm_up": 2}]


def test_a_rank_with_a_wrong_result_ends_the_round() -> None:
    with pytest.raises(BenchmarkError, match="rank 1 got a wrong result of bcast"):
        ranks(Answering({}), Answering({"error": "rank 1 got a wrong result of bcast"})).round("bcast", 1, 1, 0)
