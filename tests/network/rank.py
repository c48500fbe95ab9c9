"""Ranks, each in a network namespace: `python -m tests.network.rank` runs one for each line on its standard input.

A line is a JSON object: the fields of Assignment, or {"proceed": true} for those that were to pause. On standard output
there is a line for each rank that pauses, and one with each rank's result. All are threads of one process, so that many
can be tried in a second: what a thread opens is in the namespace that it entered, and what its threads open, too.
"""

import json
import os
import random
import sys
import threading
import time
from dataclasses import asdict, dataclass, field

from lambda_image.comm.channel.channel import ChannelSettings
from lambda_image.comm.communicator import Communicator
from tests.network.namespace import enter

PAYLOAD_BYTES = 1_000_000  # from each rank to each
LIMIT_S = 30.0  # for everything: six times what connecting may take
LOOK_S = 0.002
RUN_KEY = bytes(range(32))


@dataclass(frozen=True)
class Assignment:
    namespace: str
    endpoint: str
    rendezvous_key: str
    run_id: str
    rank: int
    world_size: int = 2
    max_segment: int | None = None
    delay_s: float = 0.0  # before it starts
    pauses_at: int = 0  # when it has so many channels, if any, until it is told to proceed


@dataclass
class Result:
    """Times are those of the machine's monotonic clock, one for all processes."""

    run_id: str
    rank: int
    paused: bool = False
    nat: str = ""
    known_at: float = 0.0  # when it knew of the others
    connected_at: float = 0.0  # when it had channels to them
    ways: dict[str, str] = field(default_factory=dict)  # to each other rank
    intact: bool = False  # the payloads of all others arrived
    error: str | None = None


def main() -> None:
    proceed = threading.Event()
    for line in sys.stdin:
        request = json.loads(line)
        if "proceed" in request:
            proceed.set()
            proceed = threading.Event()  # for those that come later
        else:
            threading.Thread(target=work, args=(Assignment(**request), proceed), daemon=True).start()
    os._exit(0)  # who gave the assignments is gone: nobody waits for results


def work(assignment: Assignment, proceed: threading.Event) -> None:
    result = Result(assignment.run_id, assignment.rank)
    try:
        take_part(assignment, proceed, result)
    except Exception as error:
        result.error = f"{type(error).__name__}: {error}"
    tell(result)


def take_part(assignment: Assignment, proceed: threading.Event, result: Result) -> None:
    """Connect to all others, then send everything to everybody."""
    enter(assignment.namespace)
    time.sleep(assignment.delay_s)
    deadline = time.monotonic() + LIMIT_S
    with Communicator.join(
        assignment.endpoint,
        run_id=assignment.run_id,
        run_key=RUN_KEY,
        rendezvous_key=assignment.rendezvous_key.encode(),
        rank=assignment.rank,
        world_size=assignment.world_size,
        deadline=deadline,
        settings=ChannelSettings(max_segment=assignment.max_segment),
    ) as communicator:
        if assignment.pauses_at:
            watch(communicator, assignment.pauses_at, deadline, result)
            result.paused = True
            tell(result)
            proceed.wait(LIMIT_S)
            result.paused = False
        watch(communicator, assignment.world_size - 1, deadline, result)
        ranks = range(assignment.world_size)
        parts = communicator.allgather(payload(assignment.run_id, assignment.rank), deadline=deadline)
        result.intact = all(parts[rank] == payload(assignment.run_id, rank) for rank in ranks)


def watch(communicator: Communicator, channels: int, deadline: float, result: Result) -> None:
    """Until there are so many."""
    while len(result.ways) < channels:
        peers, now = communicator.peers(), time.monotonic()
        if len(peers) >= channels and not result.known_at:
            result.known_at = now
        result.ways = {str(peer.rank): peer.transport for peer in peers if peer.transport}
        result.connected_at, result.nat = now, communicator.nat
        lost = [f"rank {peer.rank} {peer.lost}" for peer in peers if peer.lost]
        if lost or now > deadline:
            raise ConnectionError(f"{lost or communicator.failure or 'nothing happened'}; connected: {result.ways}")
        time.sleep(LOOK_S)


def payload(run_id: str, rank: int) -> bytes:
    return random.Random(f"{run_id}, rank {rank}").randbytes(PAYLOAD_BYTES)


def tell(result: Result) -> None:
    line = json.dumps(asdict(result)) + "\n"
    os.write(sys.stdout.fileno(), line.encode())  # at once: lines of several threads do not mix


if __name__ == "__main__":
    main()
