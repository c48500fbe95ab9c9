"""When the ranks of a run start on Lambda, which begins with so many at once and then adds more. No I/O.

Lambda adds 1,000 execution environments of a function every 10 s, and an account runs no more than its quota at a time.
A start beyond either is refused. The state machine tries it again after a pause that grows, with full jitter: it lies
anywhere between nothing and the whole pause (`Retry` of the state Rank in statemachine/redshift.asl.json).
"""

import heapq
import random
from collections.abc import Sequence
from dataclasses import dataclass

BURST = 1000  # environments of a function at once
RAMP_S = 10.0  # until so many more
PAUSE_S, PAUSE_GROWTH, LONGEST_PAUSE_S = 1.0, 1.5, 20.0  # of the state machine between two tries
MOST_TRIES = 80
SEED = 0  # the same plan gives the same answer


@dataclass(frozen=True)
class Starts:
    """When each rank starts, in seconds from the start of the first, and how many starts were refused."""

    at: Sequence[float]
    refused: int
    given_up: int = 0  # ranks whose tries were used up


def start_times(durations: Sequence[float], quota: int) -> Starts:
    """Plays the starts of a run's ranks.

    Args:
        durations: seconds that each rank takes once it has started.
        quota: how many functions the account runs at a time.

    Returns:
        The starts. A rank that gives up counts as started at its last try.
    """
    if len(durations) <= min(BURST, quota):
        return Starts([0.0] * len(durations), 0)
    random_pause = random.Random(SEED)
    waiting = [(0.0, rank, 0) for rank in range(len(durations))]  # when it is tried, which, how often it was refused
    ending: list[float] = []  # when those that run will end
    at, refused, given_up = [0.0] * len(durations), 0, 0
    heapq.heapify(waiting)
    while waiting:
        now, rank, tries = heapq.heappop(waiting)
        while ending and ending[0] <= now:
            heapq.heappop(ending)
        if len(ending) < min(quota, BURST + BURST * int(now / RAMP_S)):
            at[rank] = now
            heapq.heappush(ending, now + durations[rank])
        elif tries == MOST_TRIES:
            at[rank], given_up = now, given_up + 1
        else:
            refused += 1
            pause = min(LONGEST_PAUSE_S, PAUSE_S * PAUSE_GROWTH**tries)
            heapq.heappush(waiting, (now + random_pause.uniform(0.0, pause), rank, tries + 1))
    return Starts(at, refused, given_up)
