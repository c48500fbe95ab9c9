"""A contender's ranks, which are processes that are started, asked and stopped from here."""

import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from scripts.bench.comm.contenders import GLOO, Contender
from scripts.bench.errors import BenchmarkError
from scripts.bench.processes import MeasuredProcess
from scripts.bench.servers import Server, process_cpu_s

# One thread for arithmetic in each rank, as ranks that each take all cores would measure the scheduler.
# Gloo on loopback, where the others are too, whatever name this host has.
ENVIRON = {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", "TORCH_CPP_LOG_LEVEL": "ERROR"}


class Ranks:
    """All ranks of one contender."""

    def __init__(self, contender: Contender, processes: Sequence[MeasuredProcess]) -> None:
        self.contender = contender
        self.processes = processes

    def round(self, operation: str, size: int, count: int, warm_up: int) -> list[dict[str, list[int]]]:
        """Have an operation measured.

        Args:
            operation: Its name.
            size: The bytes of each rank's value.
            count: How many times it is measured.
            warm_up: How many times it is carried out before.

        Returns:
            What each rank answers (see rank.py).

        Raises:
            BenchmarkError: A rank does not answer, or got a wrong result.
        """
        for process in self.processes:
            process.tell(operation=operation, size=size, count=count, warm_up=warm_up)
        return [_answer(process) for process in self.processes]

    def cpu_s(self) -> float:
        """Return the CPU time of all ranks so far."""
        return sum(process_cpu_s(process.pid) for process in self.processes)


@contextmanager
def running(contender: Contender, world_size: int, server: Server, limit_s: float) -> Iterator[Ranks]:
    """Start the ranks of a contender, and end them afterwards.

    Args:
        contender: What they are ranks of.
        world_size: How many there are.
        server: The rendezvous server that ours meet at.
        limit_s: The longest that they may take to start, and for each round, in seconds.

    Raises:
        BenchmarkError: A rank did not start.
    """
    assert server.key is not None
    spec = {
        "kind": contender.kind,
        "style": contender.style,
        "world_size": world_size,
        "endpoint": f"{server.host}:{server.port}",
        "key": server.key.hex(),
        "run_id": f"bench-{secrets.token_hex(8)}",
    }
    environ = {**os.environ, **ENVIRON}
    # Gloo's ranks complain of each other's ends; what went wrong with ours is worth reading.
    quiet = contender.kind == GLOO
    with ExitStack() as stack:

        def start(**more: int) -> MeasuredProcess:
            module = "scripts.bench.comm.rank"
            process = MeasuredProcess("a rank", module, {**spec, **more}, environ, limit_s, quiet=quiet)
            stack.callback(process.stop)
            return process

        root = start(rank=0)
        port = _answer(root)["port"]
        processes = [root, *(start(rank=rank, port=port) for rank in range(1, world_size))]
        for process in processes:
            _answer(process)
        yield Ranks(contender, processes)
        for process in processes:
            process.end_input()  # of all, before any is waited for


def _answer(process: MeasuredProcess) -> dict[str, Any]:
    answer = process.answer()
    if "error" in answer:
        raise BenchmarkError(answer["error"])
    return answer
