"""How long a rank takes from its process to its first poll of the Runtime API, which is what Lambda calls init."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from scripts.bench.commit.checkout import environ_for
from scripts.bench.errors import BenchmarkError
from scripts.bench.processes import wait_or_kill
from statemachine.local.settings import FUNCTIONS, worker_environment

POLL_TIMEOUT_S = 120.0
NEXT = "/invocation/next"


def rank_start_s(folder: Path, cpus: int) -> float:
    """Return the seconds that a rank of the code in `folder` takes until it asks for work.

    Args:
        folder: A checkout.
        cpus: The CPUs that it may use.

    Raises:
        BenchmarkError: It does not ask.
    """
    function = FUNCTIONS["rank"]
    command = [sys.executable, "-m", "awslambdaric", function.handler]
    with socket.create_server(("127.0.0.1", 0)) as runtime_api:
        address = "{}:{}".format(*runtime_api.getsockname())
        environ = worker_environment(
            environ_for(folder, os.environ),
            "rank",
            function,
            runtime_api=address,
            endpoint_url=f"http://{address}",
            cpus=cpus,
        )
        return seconds_to_first_poll(runtime_api, command, environ, folder)


def seconds_to_first_poll(
    runtime_api: socket.socket, command: Sequence[str], environ: dict[str, str], folder: Path
) -> float:
    """Start a worker, and return the seconds until it polls `runtime_api`. The worker is ended then.

    Raises:
        BenchmarkError: It reports an error instead, ends, or is silent.
    """
    runtime_api.settimeout(POLL_TIMEOUT_S)
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, env=environ, stdout=subprocess.DEVNULL)
    with ExitStack() as stack:
        try:
            connection, _ = runtime_api.accept()
            stack.enter_context(connection)  # it stays open until the worker has ended, which would complain otherwise
            connection.settimeout(POLL_TIMEOUT_S)
            asked = connection.recv(1 << 16).split(b"\r\n")[0].decode(errors="replace")
            elapsed = time.perf_counter() - started
        except TimeoutError as error:
            raise BenchmarkError(f"the rank in {folder} asked for no work in {POLL_TIMEOUT_S:g} s") from error
        finally:
            process.kill()
            wait_or_kill(process)
    if NEXT not in asked:
        raise BenchmarkError(f"the rank in {folder} did not start: it sent {asked!r} instead of asking for work")
    return elapsed
