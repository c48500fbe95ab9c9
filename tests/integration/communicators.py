"""Ranks in this process, against a real rendezvous server."""

import json
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lambda_image.comm.communicator import Communicator
from lambda_image.errors import RunError
from rendezvous_server.protocol import Topology

ROOT = Path(__file__).resolve().parents[2]
RUN_KEY = bytes(range(32))
SERVER_KEY = b"the deployment's key"
PATIENCE_S = 60.0  # a deadline that only a hanging test would reach
SHORT_S = 1.0  # a deadline that a test means to reach


def part_of(rank: int) -> bytes:
    """Unequal parts: none, tiny, and more than a socket buffer."""
    return bytes([rank]) * (0, 1, 1000, 300_000, 5_000_000)[rank % 5]


def patience() -> float:
    return time.monotonic() + PATIENCE_S


def join(endpoint: str | None, rank: int, world_size: int, run_id: str, **options: Any) -> Communicator:
    return Communicator.join(
        endpoint,
        run_id=run_id,
        rank=rank,
        world_size=world_size,
        **{
            "run_key": RUN_KEY,
            "rendezvous_key": SERVER_KEY,
            "deadline": patience(),
            "topology": Topology.STAR,
            **options,
        },
    )


def free_port() -> int:
    """One that nobody else can get by asking for any: a server may be started on it once more."""
    for port in random.sample(range(10_000, 30_000), 1000):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("no free port")


@contextmanager
def serving(port: int | None = None, **environ: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A rendezvous server's endpoint and process; on a free port that the kernel gives to nobody by itself."""
    command = [sys.executable, "-m", "rendezvous_server", "--host", "127.0.0.1", "--probe-port", "off"]
    command += ["--http-port", "off", "--port", str(port or free_port())]
    with subprocess.Popen(command, cwd=ROOT, env=os.environ | environ, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield f"127.0.0.1:{json.loads(server.stdout.readline())['port']}", server
        finally:
            server.terminate()
            server.stdout.read()


def in_threads(work: Callable[[int], object], *ranks: int) -> list[Any]:
    """What each rank's work returned or, if it is a RunError, raised."""

    def outcome(rank: int) -> object:
        try:
            return work(rank)
        except RunError as error:
            return error

    with ThreadPoolExecutor(len(ranks)) as pool:
        return list(pool.map(outcome, ranks))
