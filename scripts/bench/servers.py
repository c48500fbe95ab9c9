"""The servers that are measured. Ours is started here as a process of its own, and another may run already."""

import fcntl
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from lambda_image.address import Address
from scripts.bench.errors import BenchmarkError
from scripts.bench.processes import ROOT, wait_or_kill
from scripts.extras import require

OURS = "ours"
FLOOR = "bare uvloop"
START_TIMEOUT_S = 30.0
POLL_INTERVAL_S = 0.01
# Everything at its default, except: loopback, free ports, and a key, so that joins are authenticated.
ENVIRON = {"RENDEZVOUS_HOST": "127.0.0.1", "RENDEZVOUS_PORT": "0", "RENDEZVOUS_HTTP_PORT": "0"}


@dataclass(frozen=True, slots=True)
class Server:
    """A rendezvous server, and where its process can be looked at."""

    name: str
    host: str
    port: int
    pid: int | None = None  # None: not a process of this machine, or not known
    key: bytes | None = None
    log: int | None = None  # descriptor of the file that it logs to
    introduces: bool = True  # whether clients learn addresses that can be checked

    def cpu_s(self) -> float | None:
        """Return the CPU time that the process has used so far, or None where that is not known."""
        if self.pid is None:
            return None
        return process_cpu_s(self.pid)

    def forget_log(self) -> None:
        """Empty the log. Two lines for each of a million pairings would fill a small disk."""
        if self.log is not None:
            os.ftruncate(self.log, 0)

    def memory_mb(self) -> tuple[float, float]:
        """Return the MB that the process holds now, and the most that it ever held."""
        assert self.pid is not None
        status = _proc(self.pid, "status")
        return memory_mb(status, "VmRSS"), memory_mb(status, "VmHWM")


def other_server(address: Address, pid: int | None) -> Server:
    """Return a server that runs already. Raises BenchmarkError where its name or its process is unknown."""
    try:
        found = socket.getaddrinfo(address.host, address.port, socket.AF_INET, socket.SOCK_STREAM)
    except OSError as error:
        raise BenchmarkError(f"{address} has no IPv4 address: {error.strerror}") from error
    server = Server(str(address), str(found[0][4][0]), address.port, pid)
    server.cpu_s()
    return server


def pin(pid: int, core: int) -> None:
    """Keep all threads of a process on one core. Nothing happens where that is not allowed."""
    with suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), {core})


@contextmanager
def floor_server() -> Iterator[Server]:
    """Start what shows how little an exchange costs on uvloop, and end it afterwards."""
    require("uvloop")
    process = subprocess.Popen(
        [sys.executable, "-m", "scripts.bench.rendezvous.floor"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise BenchmarkError("the bare exchange on uvloop did not start; what it said is above")
        yield Server(FLOOR, "127.0.0.1", int(line), process.pid, introduces=False)
    finally:
        process.terminate()
        wait_or_kill(process)


@contextmanager
def our_server(
    folder: Path = ROOT, name: str = OURS, settings: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Server]:
    """Start a fresh server, and end it afterwards.

    Its log goes to a file, as it would under a supervisor, so that nobody has to read along.

    Args:
        folder: The checkout whose server it is.
        name: What it is called in the report.
        settings: Variables of its environment beside ENVIRON.
    """
    require("prometheus_client")
    key = secrets.token_hex(32)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RENDEZVOUS_")}
    with tempfile.TemporaryFile("w+") as log, tempfile.TemporaryFile("w+") as errors:
        fcntl.fcntl(log, fcntl.F_SETFL, os.O_APPEND)  # so that what is forgotten leaves no hole
        process = subprocess.Popen(
            [sys.executable, "-m", "rendezvous_server"],
            cwd=folder,
            env={**inherited, **ENVIRON, **settings, "RENDEZVOUS_KEY": key, "PYTHONPATH": str(folder)},
            stdout=log,
            stderr=errors,
        )
        try:
            deadline = time.monotonic() + START_TIMEOUT_S
            while not (line := _first_line(log.fileno())):
                if process.poll() is not None or time.monotonic() > deadline:
                    errors.seek(0)
                    last_word = errors.read().strip().rpartition("\n")[2]
                    raise BenchmarkError(f"the rendezvous server did not start: {last_word or 'it said nothing'}")
                time.sleep(POLL_INTERVAL_S)
            listening = json.loads(line)
            yield Server(name, listening["host"], listening["port"], process.pid, key.encode(), log.fileno())
        finally:
            process.terminate()
            wait_or_kill(process)


def process_cpu_s(pid: int) -> float:
    """Return the CPU time that a process of this machine has used so far. Raises BenchmarkError."""
    return cpu_s(_proc(pid, "stat"), os.sysconf("SC_CLK_TCK"))


def cpu_s(stat: str, ticks_per_s: int) -> float:
    """Return the user and system time in the text of /proc/PID/stat.

    Its second field may hold anything, in parentheses.
    """
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / ticks_per_s


def memory_mb(status: str, field: str) -> float:
    """Return a size in the text of /proc/PID/status, which counts in KiB."""
    for line in status.splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024 / 1e6
    raise BenchmarkError(f"/proc/PID/status says nothing about {field}")


def _proc(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except OSError as error:
        raise BenchmarkError(f"process {pid} cannot be looked at: {error.strerror}. Has it ended?") from error


def _first_line(file: int) -> str:
    text, newline, _ = os.pread(file, 4096, 0).decode().partition("\n")
    return text if newline else ""
