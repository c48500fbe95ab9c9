"""One rank of a benchmark, which is a process. It does what each line of its input asks, and answers when it did so.

A round is an operation again and again, each time from a starting gate. The gate is a barrier over raw sockets that is
the same for all contenders, whose ranks it lets go in the same order.
"""

import gc
import json
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from scripts.bench.comm.backends import Backend, make_backend
from scripts.bench.comm.operations import ALLREDUCE, BARRIER, BCAST, GATHER
from scripts.bench.comm.star import Star, meet


def main(spec: dict[str, Any]) -> None:
    rank, world_size = spec["rank"], spec["world_size"]
    listener = None
    if rank == 0:
        listener = socket.create_server(("127.0.0.1", 0), backlog=2 * world_size)
        _say({"port": listener.getsockname()[1]})
    gate, star = meet(rank, world_size, 2, listener, spec.get("port", 0))
    backend = make_backend(spec, star)
    _say({"ready": True})
    rounds = Rounds(rank, world_size, backend, gate)
    for line in sys.stdin:
        _say(rounds.run(**json.loads(line)))
    backend.close()


class Rounds:
    """Measures operations of one rank."""

    def __init__(
        self,
        rank: int,
        world_size: int,
        backend: Backend,
        gate: Star,
        collect: Callable[[], object] = gc.collect,
    ) -> None:
        self._rank, self._world_size, self._backend, self._gate = rank, world_size, backend, gate
        self._collect = collect  # garbage, before a round
        self._own = np.empty(0)
        self._checked: set[tuple[str, int]] = set()

    def run(self, operation: str, size: int, count: int, warm_up: int) -> dict[str, Any]:
        """Measure an operation `count` times, after `warm_up` times that are not measured.

        Returns:
            Of each time when it began and ended and how much CPU time this rank took, in nanoseconds. The clock is the
            system's monotonic one, which all ranks of a machine share. Or `error` says what is wrong.
        """
        if self._own.nbytes != size:
            self._own = _value(self._rank, size)
        step = self._step(operation)
        self._collect()
        if operation == BARRIER:  # back to back, as nobody gets ahead of the others anyway
            for _ in range(warm_up):
                step()
            self._gate.barrier(self._rank == 0)
            began, cpu = time.monotonic_ns(), time.process_time_ns()
            for _ in range(count):
                step()
            ended = began + (time.monotonic_ns() - began) // count
            return {"began": [began], "ended": [ended], "cpu": [(time.process_time_ns() - cpu) // count]}
        times: dict[str, list[int]] = {"began": [], "ended": [], "cpu": []}
        for turn in range(warm_up + count):
            self._gate.barrier(self._rank == 0)
            began, cpu = time.monotonic_ns(), time.process_time_ns()
            result = step()
            ended, cpu = time.monotonic_ns(), time.process_time_ns() - cpu
            if (operation, size) not in self._checked:
                self._checked.add((operation, size))
                if not self._is_right(operation, size, result):
                    return {"error": f"rank {self._rank} got a wrong result of {operation}"}
            del result
            if turn >= warm_up:
                times["began"].append(began)
                times["ended"].append(ended)
                times["cpu"].append(cpu)
        return times

    def _step(self, operation: str) -> Callable[[], Any]:
        backend, own = self._backend, self._own
        steps: dict[str, Callable[[], Any]] = {
            BARRIER: backend.barrier,
            GATHER: lambda: backend.gather(own),
            BCAST: lambda: backend.bcast(own),
            ALLREDUCE: lambda: backend.allreduce(own),
        }
        return steps[operation]

    def _is_right(self, operation: str, size: int, result: Any) -> bool:
        values = (_value(rank, size) for rank in range(self._world_size))
        if operation == GATHER:
            return result is None if self._rank else all(map(np.array_equal, result, values))
        return np.array_equal(result, next(values) if operation == BCAST else sum(values))


def _value(rank: int, size: int) -> np.ndarray:
    """Whole numbers, whose sums in any order are the same."""
    return np.arange(rank, rank + size // 4, dtype=np.float32) % 1024


def _say(words: dict[str, Any]) -> None:
    print(json.dumps(words), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
