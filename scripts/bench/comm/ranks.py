"""A contender's ranks: processes that are started, asked and stopped from here."""

import json
import os
import secrets
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from scripts.bench.comm.contenders import GLOO, Contender
from scripts.bench.errors import BenchmarkError
from scripts.bench.servers import ROOT, Server, process_cpu_s

STOP_TIMEOUT_S = 10.0
# One thread for arithmetic in each rank: ranks that each take all cores would measure the scheduler.
# Gloo: on loopback, where the others are too, whatever name this host has.
ENVIRON = {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", "TORCH_CPP_LOG_LEVEL": "ERROR"}


class Ranks:
    def __init__(self, contender: Contender, processes: Sequence["subprocess.Popen[bytes]"], limit_s: float) -> None:
        self.contender = contender
        self.processes = processes
        self._limit_s = limit_s

    def round(self, operation: str, size: int, count: int, warm_up: int) -> list[dict[str, list[int]]]:
        """What each rank answers (see rank.py). Raises BenchmarkError if one does not, or got a wrong result."""
        line = json.dumps({"operation": operation, "size": size, "count": count, "warm_up": warm_up}) + "\n"
        for process in self.processes:
            assert process.stdin is not None
            try:
                process.stdin.write(line.encode())
                process.stdin.flush()
            except OSError as error:
                raise BenchmarkError(f"{self.contender.name}: a rank has ended") from error
        return [_answer(self.contender, process, self._limit_s) for process in self.processes]

    def cpu_s(self) -> float:
        """CPU time of all ranks so far."""
        return sum(process_cpu_s(process.pid) for process in self.processes)


@contextmanager
def running(contender: Contender, world_size: int, server: Server, limit_s: float) -> Iterator[Ranks]:
    """`limit_s`: for the ranks to start, and for each round."""
    assert server.key is not None
    spec = {
        "kind": contender.kind,
        "style": contender.style,
        "world_size": world_size,
        "endpoint": f"{server.host}:{server.port}",
        "key": server.key.hex(),
        "run_id": f"bench-{secrets.token_hex(8)}",
    }
    with ExitStack() as stack:

        def start(**more: int) -> "subprocess.Popen[bytes]":
            command = [sys.executable, "-m", "scripts.bench.comm.rank", json.dumps({**spec, **more})]
            environ = {**os.environ, **ENVIRON}
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environ,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                # Gloo's ranks complain of each other's ends; what went wrong with ours is worth reading
                stderr=subprocess.DEVNULL if contender.kind == GLOO else None,
            )
            stack.callback(_stop, process)
            return process

        root = start(rank=0)
        port = _answer(contender, root, limit_s)["port"]
        processes = [root, *(start(rank=rank, port=port) for rank in range(1, world_size))]
        for process in processes:
            _answer(contender, process, limit_s)
        yield Ranks(contender, processes, limit_s)
        for process in processes:
            _hang_up(process)


def _answer(contender: Contender, process: "subprocess.Popen[bytes]", limit_s: float) -> dict[str, Any]:
    """The next line of a rank, which writes one line at a time, each only when it was asked for the next."""
    assert process.stdout is not None
    deadline, line = time.monotonic() + limit_s, b""
    while not line.endswith(b"\n"):
        ready, _, _ = select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            raise BenchmarkError(f"{contender.name}: a rank said nothing for {limit_s:g} s")
        more = os.read(process.stdout.fileno(), 1 << 16)
        if not more:
            raise BenchmarkError(f"{contender.name}: a rank has ended")
        line += more
    said: dict[str, Any] = json.loads(line)
    if "error" in said:
        raise BenchmarkError(f"{contender.name}: {said['error']}")
    return said


def _hang_up(process: "subprocess.Popen[bytes]") -> None:
    """The end of its input is the end of a rank."""
    assert process.stdin is not None
    with suppress(OSError):  # it may have ended before it took the last line
        process.stdin.close()


def _stop(process: "subprocess.Popen[bytes]") -> None:
    _hang_up(process)
    assert process.stdout is not None
    process.stdout.close()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
