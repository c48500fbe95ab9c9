"""Nothing hangs: whatever peers do, every operation of every rank ends by its deadline, with the right result or an
error, and who has died is named to those that needed it.

Each scenario is a group of ranks in threads, over real sockets, that call the same operations by the same algorithm,
while some of them die (some in the middle of a frame), stop calling, come late, or have less patience than the others.
"""

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import reduce

import numpy as np
import pytest

from lambda_image.comm.channel.handshake import Member
from lambda_image.comm.operations import collectives, reduce_collectives
from lambda_image.comm.operations.cost_model import Algorithm
from lambda_image.comm.operations.exchange import ABORT_LIMIT_S
from lambda_image.comm.operations.reduction import REDUCTIONS
from lambda_image.errors import PeerClosed, PeerTimeout, RunError
from tests.unit.lambda_image.comm.local_group import LocalGroup, RankInThread

SCENARIOS = 60
AT_ONCE = 12  # they mostly wait
PATIENCE_S = 0.4  # of an operation; a scenario has three
SLACK_S = 30.0  # for a busy machine to run dozens of threads
LARGE = 1 << 20  # more than a socket pair holds

FATES = ("dies", "dies in a frame", "stalls", "comes late", "is impatient")


def array(rank: int, size: int) -> np.ndarray:
    return np.full(size, float(rank + 1))


def expected(operation: str, rank: int, world: int, size: int) -> list[np.ndarray] | np.ndarray | None:
    arrays = [array(other, size) for other in range(world)]
    match operation:
        case "barrier":
            return None
        case "bcast":
            return arrays[world - 1]
        case "gather":
            return arrays if rank == 0 else None
        case "allgather":
            return arrays
        case "reduce":
            return reduce(np.add, arrays) if rank == world - 1 else None
        case "allreduce":
            return reduce(np.add, arrays)
        case _:
            return reduce(np.add, arrays[: rank + 1])


def perform(operation: str, rank: RankInThread, size: int, deadline: float) -> object:
    own, add, last = array(rank.rank, size), REDUCTIONS["sum"], rank.world_size - 1
    match operation:
        case "barrier":
            return collectives.barrier(rank, deadline)
        case "bcast":
            return collectives.bcast(rank, own if rank.rank == last else None, last, deadline)
        case "gather":
            gathered = collectives.gather(rank, own, 0, deadline, allow_missing=False)
            return gathered and gathered.parts
        case "allgather":
            return collectives.allgather(rank, own, deadline)
        case "reduce":
            return reduce_collectives.reduce(rank, own, add, last, deadline)
        case "allreduce":
            return reduce_collectives.allreduce(rank, own, add, deadline)
        case _:
            return reduce_collectives.scan(rank, own, add, deadline)


OPERATIONS = ("barrier", "bcast", "gather", "allgather", "reduce", "allreduce", "scan")


@dataclass
class Ended:
    operation: str
    late_s: float  # after its deadline
    outcome: object


class Scenario:
    def __init__(self, seed: int) -> None:
        chance = random.Random(seed)
        self.world = chance.randint(2, 9)
        self.algorithm = chance.choice(list(Algorithm))
        self.operations = [(chance.choice(OPERATIONS), chance.choice((1, 100, LARGE // 8))) for _ in range(3)]
        ill = chance.sample(range(self.world), chance.randint(1, max(1, self.world // 3)))
        self.fates = {rank: (chance.choice(FATES), chance.randrange(3)) for rank in ill}
        self.delay_s = chance.random() * PATIENCE_S / 2

    def __str__(self) -> str:
        return f"{self.world} ranks, {self.algorithm.value}, {self.operations}, {self.fates}, {self.delay_s:.2f} s"

    def play(self) -> list[list[Ended]]:
        late = [rank for rank, (fate, _) in self.fates.items() if fate == "comes late"]
        group = LocalGroup(self.world, absent=late)
        try:
            for rank in group.ranks:
                rank.forced = self.algorithm
            timer = threading.Timer(self.delay_s, lambda: [group.admit(Member(rank, 0)) for rank in late])
            timer.start()
            played = group.run(lambda rank: self._rank(group, rank))
            timer.join()
            return played
        finally:
            group.close()

    def _rank(self, group: LocalGroup, rank: RankInThread) -> list[Ended]:
        fate, when = self.fates.get(rank.rank, ("is well", 0))
        ended: list[Ended] = []
        for number, (operation, size) in enumerate(self.operations):
            patience = PATIENCE_S
            if number == when:
                if fate.startswith("dies"):
                    time.sleep(self.delay_s)
                    group.kill(rank.rank, in_a_frame=(rank.operation + 1, LARGE) if "frame" in fate else None)
                    return ended
                if fate == "stalls":
                    return ended
                if fate == "is impatient":
                    patience = self.delay_s / 10
            deadline = time.monotonic() + patience
            outcome: object
            try:
                outcome = perform(operation, rank, size, deadline)
            except RunError as error:
                outcome = error
            ended.append(Ended(operation, time.monotonic() - deadline, outcome))
        return ended


def test_every_operation_ends_by_its_deadline() -> None:
    scenarios = [Scenario(seed) for seed in range(SCENARIOS)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        played = list(pool.map(Scenario.play, scenarios))
    seen = set()
    for scenario, outcomes in zip(scenarios, played, strict=True):
        for rank, ended in enumerate(outcomes):
            assert isinstance(ended, list), (str(scenario), rank, ended)
            for number, one in enumerate(ended):
                assert one.late_s < ABORT_LIMIT_S + SLACK_S, (str(scenario), rank, one)
                if isinstance(one.outcome, RunError):
                    assert isinstance(one.outcome, PeerClosed | PeerTimeout)
                    assert one.outcome.rank == rank
                    assert one.outcome.phase == one.operation
                else:
                    size = scenario.operations[number][1]
                    right = expected(one.operation, rank, scenario.world, size)
                    assert same(one.outcome, right), (str(scenario), rank, one)
                seen.add(type(one.outcome))
    assert {PeerClosed, PeerTimeout, np.ndarray, list} <= seen  # the scenarios are of all kinds


def same(outcome: object, right: list[np.ndarray] | np.ndarray | None) -> bool:
    if isinstance(right, list):
        return isinstance(outcome, list) and all(map(np.array_equal, outcome, right))
    return outcome is None if right is None else np.array_equal(outcome, right)  # type: ignore[arg-type]


Call = Callable[[RankInThread, float], object]
NEEDING_ALL: dict[str, Call] = {
    "barrier": collectives.barrier,
    "allgather": lambda rank, deadline: collectives.allgather(rank, b"part", deadline),
    "allreduce": lambda rank, deadline: reduce_collectives.allreduce(
        rank, array(rank.rank, 64), REDUCTIONS["sum"], deadline
    ),
}


@pytest.mark.parametrize("algorithm", list(Algorithm))
@pytest.mark.parametrize("operation", NEEDING_ALL)
def test_a_death_is_named_to_all_at_once_whatever_the_algorithm(operation: str, algorithm: Algorithm) -> None:
    """Whoever dies: the root of the tree, one within it, or a leaf."""
    for victim in (0, 4, 7):
        group = LocalGroup(8)
        try:
            for rank in group.ranks:
                rank.forced = algorithm
            group.kill(victim)
            living = [rank for rank in range(8) if rank != victim]
            errors = group.run(lambda rank: NEEDING_ALL[operation](rank, time.monotonic() + 30), ranks=living)
            for error in errors:
                assert isinstance(error, PeerClosed), (victim, error)
                assert error.peer == victim, (victim, error)
        finally:
            group.close()
