"""Load in the pairing dialect, by clients.cpp, which is compiled here and says what its clients do.

Clients in Python would cost more than the server, so that they and not the server would limit the rate.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from scripts.bench.errors import BenchmarkError
from scripts.bench.rendezvous.answers import objection
from scripts.bench.rounds import percentile
from scripts.bench.servers import Server
from scripts.series import Round

SOURCE = Path(__file__).with_name("clients.cpp")
FLAGS = ("-O2", "-std=c++20")
COMPILE_TIMEOUT_S = 120.0  # takes 2 s on one core of 2024
PAUSE_S = 0.020  # of a slow client before it says its name, and of a bytewise one before each byte
CROWD_LEAD_S = 0.1  # the crowd is there before the first pairing: five turns of a slow client
ROUND_S = 10.0  # then no further pairing is started: ten times what a round takes where the server is not slow
STALL_S = 10.0  # without one finished pairing: the server serves nobody any more
CLOSE_S = 5.0  # for the server to close what it has answered
SHORT_LIFE_S = 1.0  # a silent client dropped before that is no timeout, and is not replaced: it would go on for ever
SPARE_S = 30.0  # to start and to end, on a busy machine
MOST_BYTEWISE = 200  # clients: each pair of them needs a first byte of its own
WRONG = "="  # begins what is said of a wrong introduction: answers and own addresses, in hexadecimal


@dataclass(frozen=True, slots=True)
class PairingCase:
    """What is under way at the server at the same time."""

    in_flight: int
    silent: int = 0
    slow: int = 0  # clients, so half as many pairs
    bytewise: int = 0  # clients, as above

    @property
    def crowded(self) -> bool:
        """Whether other clients are there as well."""
        return self.silent + self.slow + self.bytewise > 0

    @property
    def labels(self) -> dict[str, int]:
        """How the report tells this case from others."""
        return {"in_flight": self.in_flight, "silent": self.silent, "slow": self.slow, "bytewise": self.bytewise}

    def __str__(self) -> str:
        kinds = ((self.silent, "silent"), (self.slow, "slow"), (self.bytewise, "bytewise"))
        crowd = [f"{count} {kind}" for count, kind in kinds if count]
        return f"{self.in_flight} in flight" + (f" beside {' and '.join(crowd)} clients" if crowd else "")


@contextmanager
def compiled_clients() -> Iterator[Path]:
    """Compile the clients, and remove them afterwards. Raises BenchmarkError where there is no compiler."""
    compiler = os.environ.get("CXX") or shutil.which("g++")
    if compiler is None:
        raise BenchmarkError("the clients cannot be compiled: g++ is not here: install it, or name a compiler in CXX")
    with tempfile.TemporaryDirectory(prefix="cosmicai-") as folder:
        program = Path(folder) / "clients"
        command = [compiler, *FLAGS, "-o", str(program), str(SOURCE)]
        try:
            subprocess.run(command, capture_output=True, text=True, timeout=COMPILE_TIMEOUT_S, check=True)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise BenchmarkError(f"the clients cannot be compiled: {error}") from error
        except subprocess.CalledProcessError as error:
            raise BenchmarkError(f"the clients cannot be compiled: {error.stderr[-500:]}") from error
        yield program


@dataclass
class PairingLoad:
    """One round. `faults` says what went wrong. A round with faults proves nothing."""

    program: Path  # the compiled clients
    server: Server
    case: PairingCase
    pairings: int  # how many are measured
    label: str  # makes the names of this round's pairings its own, at most 50 bytes of text without spaces
    round_s: float = ROUND_S  # after so many seconds no further pairing is started
    stall_s: float = STALL_S  # after so many seconds without a finished pairing the server is given up
    short_life_s: float = SHORT_LIFE_S  # a silent client that lasts for fewer seconds is a fault
    faults: list[str] = field(default_factory=list)

    def run(self) -> Round:
        """Measure, and return the figures, which are none where nothing finished. Raises BenchmarkError."""
        server, case = self.server, self.case
        if case.bytewise > MOST_BYTEWISE:
            raise BenchmarkError(f"{case.bytewise} bytewise clients; at most {MOST_BYTEWISE} are possible")
        limits = (self.round_s, self.stall_s, self.short_life_s, PAUSE_S, CROWD_LEAD_S, CLOSE_S)
        asked = (server.host, server.port, server.pid or 0, self.label, case.in_flight, self.pairings)
        crowd = (case.silent, case.slow, case.bytewise)
        command = [str(self.program), *map(str, (*asked, *crowd, *limits, int(server.introduces)))]
        most_s = 2 * self.round_s + self.stall_s + CLOSE_S + SPARE_S
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=most_s, check=True, preexec_fn=_onto_last_core
            )
        except subprocess.CalledProcessError as error:
            raise BenchmarkError(f"no load for {server.host}:{server.port}: {error.stderr.strip()}") from error
        except subprocess.TimeoutExpired as error:
            raise BenchmarkError(f"the clients did not end within {most_s:g} s") from error
        counts, latencies, *faults = done.stdout.splitlines()
        return self._figures(counts.split(), [float(us) / 1e3 for us in latencies.split()], faults)

    def _figures(self, counts: list[str], latencies_ms: list[float], faults: list[str]) -> Round:
        seconds, cpu_s = map(float, counts[:2])
        slow, bytewise, silent_again, fault_count = map(int, counts[2:])
        self.faults = [wrong_introduction(told) if told.startswith(WRONG) else told for told in faults]
        if fault_count > len(faults):
            self.faults.append(f"and {fault_count - len(faults)} more")
        if not latencies_ms:
            return {}
        figures: Round = {
            "pairings": len(latencies_ms),
            "seconds": seconds,
            "pairings_per_s": len(latencies_ms) / seconds,
            "median_ms": median(latencies_ms),
            "p99_ms": percentile(latencies_ms, 99),
            "max_ms": max(latencies_ms),
        }
        if self.case.silent:
            figures["silent_again"] = silent_again
        if self.case.slow:
            figures["slow_pairings_per_s"] = slow / seconds
        if self.case.bytewise:
            figures["bytewise_pairings_per_s"] = bytewise / seconds
        if cpu_s >= 0:
            figures["cpu_us_per_pairing"] = 1e6 * cpu_s / (len(latencies_ms) + slow + bytewise)
        return figures


def _onto_last_core() -> None:
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def wrong_introduction(told: str) -> str:
    """Say in words what is wrong with two answers, which clients.cpp gives in hexadecimal."""
    first, second, own_first, own_second = (bytes.fromhex(text) for text in told.removeprefix(WRONG).split(","))
    return objection((first, second), (own_first, own_second))
