"""Load in the pairing dialect. Pairs of clients run in one thread, on non-blocking sockets and epoll.

A pairing lasts from the first client's connect until both have both addresses. Its place is then taken by the next one
(closed loop), so `in_flight` pairings, of two connections each, are always under way. Two crowds may be there as well.
Silent clients connect and say nothing, and come again when the server drops them. Slow clients keep a pause between
connecting and saying their name, and find each other. Their answers are checked, but not counted.
"""

import errno
import gc
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from select import EPOLLIN, EPOLLOUT, epoll
from statistics import median
from time import perf_counter

from scripts.bench.errors import BenchmarkError
from scripts.bench.rendezvous.answers import ADDRESS_BYTES, ANSWER_BYTES, RECORD, objection
from scripts.bench.rounds import percentile
from scripts.series import Round

SLOW_S = 0.020  # a slow client's pause before it says its name
CROWD_LEAD_S = 0.1  # the crowd is there before the first pairing: five turns of a slow client
ROUND_S = 10.0  # then no further pairing is started: ten times what a round takes where the server is not slow
STALL_S = 10.0  # without one finished pairing: the server serves nobody any more
CLOSE_S = 5.0  # for the server to close what it has answered
SHORT_LIFE_S = 1.0  # a silent client dropped before that is no timeout, and is not replaced: it would go on for ever
EVENTS_AT_ONCE = 1024
FAULTS_TOLD = 3  # the first ones; the rest say the same


@dataclass(frozen=True, slots=True)
class PairingCase:
    """What is under way at the server at the same time."""

    in_flight: int
    silent: int = 0
    slow: int = 0  # clients, so half as many pairs

    @property
    def crowded(self) -> bool:
        """Whether other clients are there as well."""
        return self.silent > 0 or self.slow > 0

    @property
    def labels(self) -> dict[str, int]:
        """How the report tells this case from others."""
        return {"in_flight": self.in_flight, "silent": self.silent, "slow": self.slow}

    def __str__(self) -> str:
        crowd = [f"{count} {kind}" for count, kind in ((self.silent, "silent"), (self.slow, "slow")) if count]
        return f"{self.in_flight} in flight" + (f" beside {' and '.join(crowd)} clients" if crowd else "")


@dataclass(slots=True)
class _Pair:
    name: bytes
    slow: bool
    began: float
    clients: list["_Client"] = field(default_factory=list)
    answered: int = 0
    over: bool = False


@dataclass(slots=True, eq=False)
class _Client:
    sock: socket.socket
    pair: _Pair | None  # None: a silent one
    began: float
    own: bytes = b""  # its address as it knows it itself; empty where a NAT may have changed it
    answer: bytes = b""
    unspoken: bool = False  # its name waits until the connection stands


class PairingLoad:
    """One round. `faults` says what went wrong. A round with faults proves nothing."""

    def __init__(
        self,
        address: tuple[str, int],
        case: PairingCase,
        pairings: int,
        label: str,
        round_s: float = ROUND_S,
        stall_s: float = STALL_S,
        short_life_s: float = SHORT_LIFE_S,
    ) -> None:
        """Prepare a round.

        Args:
            address: The server's.
            case: What is under way at the same time.
            pairings: How many are measured.
            label: Makes the names of this round's pairings its own. At most 50 bytes of text.
            round_s: After so many seconds no further pairing is started.
            stall_s: After so many seconds without a finished pairing the server is given up.
            short_life_s: A silent client that lasts for fewer seconds is a fault.
        """
        self._address = address
        self._case = case
        self._pairings = pairings
        self._label = label
        self._round_s = round_s
        self._stall_s = stall_s
        self._short_life_s = short_life_s
        self._epoll = epoll()
        self._clients: dict[int, _Client] = {}
        self._pauses: deque[tuple[float, _Client]] = deque()  # slow clients and when they speak, soonest first
        self._started = self._finished = self._slow_started = self._slow_finished = self._silent_again = 0
        self._latencies: list[float] = []
        self._stopping = False
        self._last_finish = 0.0
        self._fault_count = 0
        self.faults: list[str] = []

    def run(self, cpu_s: Callable[[], float | None]) -> Round:
        """Measure, and return the figures, which are none where nothing finished.

        Args:
            cpu_s: Reads the CPU time that the server has used so far, or None where that is not known.
        """
        gc.collect()
        gc.disable()
        try:
            return self._run(cpu_s)
        finally:
            gc.enable()
            for client in list(self._clients.values()):
                self._close(client)
            self._epoll.close()
            if self._fault_count > len(self.faults):
                self.faults.append(f"and {self._fault_count - len(self.faults)} more")

    def _run(self, cpu_s: Callable[[], float | None]) -> Round:
        for _ in range(self._case.silent):
            self._open(None)
        slow_pairs = self._case.slow // 2
        for number in range(slow_pairs):
            self._start_slow(SLOW_S * (1 + number / slow_pairs))  # spread: in step they would be a burst every 20 ms
        if self._clients:
            self._spin(lambda: False, perf_counter() + CROWD_LEAD_S)
        cpu_before, slow_before, began = cpu_s(), self._slow_finished, perf_counter()
        self._last_finish = began
        for _ in range(min(self._case.in_flight, self._pairings)):
            self._start()
        if not self._pair_up(began):
            return {}
        seconds, slow = self._last_finish - began, self._slow_finished - slow_before
        self._stopping = True
        self._spin(lambda: not any(client.pair for client in self._clients.values()), perf_counter() + CLOSE_S)
        left_open = sum(1 for client in self._clients.values() if client.pair)
        if left_open:
            self._fault(f"the server left {left_open} connections open for {CLOSE_S:g} s", left_open)
        if not self._latencies:
            return {}
        figures: Round = {
            "pairings": len(self._latencies),
            "seconds": seconds,
            "pairings_per_s": len(self._latencies) / seconds,
            "median_ms": 1e3 * median(self._latencies),
            "p99_ms": 1e3 * percentile(self._latencies, 99),
            "max_ms": 1e3 * max(self._latencies),
        }
        if self._case.silent:
            figures["silent_again"] = self._silent_again
        if self._case.slow:
            figures["slow_pairings_per_s"] = slow / seconds
        cpu_after = cpu_s()
        if cpu_before is not None and cpu_after is not None:
            served = len(self._latencies) + self._slow_finished - slow_before
            figures["cpu_us_per_pairing"] = 1e6 * (cpu_after - cpu_before) / served
        return figures

    def _pair_up(self, began: float) -> bool:
        """Until all pairings have finished, or, after `round_s`, those under way. False if the server has stalled."""
        end, progress = began + self._round_s, began
        while self._finished < self._pairings:
            done, ending = self._finished, perf_counter() >= end
            if ending:
                self._pairings = self._started
            stalled = progress + self._stall_s
            self._spin(lambda: self._finished == self._pairings, stalled if ending else min(end, stalled))
            if self._finished > done:
                progress = perf_counter()
            elif perf_counter() >= stalled:
                self._fault(f"no pairing finished for {self._stall_s:g} s, after {done} of {self._pairings}")
                return False
        return True

    def _spin(self, happened: Callable[[], bool], until: float) -> None:
        """Serve the clients until something has happened, or until then."""
        while not happened():
            now = perf_counter()
            while self._pauses and self._pauses[0][0] <= now:
                self._speak(self._pauses.popleft()[1])
            wake_at = min(until, self._pauses[0][0]) if self._pauses else until
            if now >= until:
                return
            for number, mask in self._epoll.poll(max(0.0, wake_at - now), EVENTS_AT_ONCE):
                client = self._clients.get(number)
                if client is None:
                    continue  # closed by an earlier event of this batch
                if mask & EPOLLOUT and client.unspoken:
                    self._epoll.modify(number, EPOLLIN)
                    self._speak(client)
                else:
                    self._receive(client)

    # Pairs.

    def _start(self) -> None:
        pair = _Pair(b"%s-%d" % (self._label.encode(), self._started), False, perf_counter())
        self._started += 1
        for _ in range(2):
            self._speak(self._open(pair))

    def _start_slow(self, pause_s: float = SLOW_S) -> None:
        now = perf_counter()
        pair = _Pair(b"%s-slow-%d" % (self._label.encode(), self._slow_started), True, now)
        self._slow_started += 1
        self._pauses.extend((now + pause_s, self._open(pair)) for _ in range(2))

    def _finish(self, pair: _Pair, fault: str) -> None:
        """Both ends have their answers, or one of them has no hope."""
        if pair.over:
            return
        pair.over = True
        now = perf_counter()
        if fault:
            self._fault(fault)
            for client in pair.clients:
                self._close(client)
        if pair.slow:
            self._slow_finished += not fault
            if not fault and not self._stopping:
                self._start_slow()
            return
        self._finished += 1
        if not fault:
            self._latencies.append(now - pair.began)
            self._last_finish = now
        if self._started < self._pairings:
            self._start()

    def _fault(self, fault: str, count: int = 1) -> None:
        self._fault_count += count
        if len(self.faults) < FAULTS_TOLD:
            self.faults.append(fault)

    # Clients.

    def _open(self, pair: _Pair | None) -> _Client:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        error = sock.connect_ex(self._address)
        if error not in (0, errno.EINPROGRESS, errno.ECONNREFUSED):
            sock.close()
            raise BenchmarkError(f"no connection to {self._address[0]}:{self._address[1]}: {errno.errorcode[error]}")
        client = _Client(sock, pair, perf_counter())
        self._clients[sock.fileno()] = client
        self._epoll.register(sock.fileno(), EPOLLIN)
        if pair is not None:
            pair.clients.append(client)
        return client

    def _speak(self, client: _Client) -> None:
        pair = client.pair
        assert pair is not None
        if pair.over:
            return
        try:
            client.sock.send(pair.name)
            client.unspoken = False
        except BlockingIOError:
            client.unspoken = True
            self._epoll.modify(client.sock.fileno(), EPOLLIN | EPOLLOUT)
        except OSError as error:
            self._finish(pair, f"a client could not say its name: {error.strerror}")

    def _receive(self, client: _Client) -> None:
        try:
            data = client.sock.recv(2 * ANSWER_BYTES)
        except BlockingIOError:
            return  # an event of a socket that was closed in this batch and whose number is another's now
        except OSError as error:
            self._ended(client, str(error.strerror))
            return
        if not data:
            self._ended(client, "closed by the server")
            return
        client.answer += data
        pair = client.pair
        if pair is None or len(client.answer) > ANSWER_BYTES:
            self._fault(f"{len(client.answer)} bytes for a client that expected {ANSWER_BYTES if pair else 'none'}")
            self._close(client)
        elif len(client.answer) == ANSWER_BYTES:
            host, port = client.sock.getsockname()
            client.own = RECORD.pack(socket.inet_aton(host), port)[:ADDRESS_BYTES] if host.startswith("127.") else b""
            pair.answered += 1
            if pair.answered == 2:
                one, two = pair.clients
                self._finish(pair, objection((one.answer, two.answer), (one.own, two.own)))

    def _ended(self, client: _Client, how: str) -> None:
        self._close(client)
        if client.pair is None:
            if perf_counter() - client.began < self._short_life_s:
                self._fault(f"a silent client did not last {self._short_life_s:g} s: {how}")
            elif not self._stopping:
                self._silent_again += 1
                self._open(None)
        elif len(client.answer) < ANSWER_BYTES:
            self._finish(client.pair, f"{how} after {len(client.answer)} of {ANSWER_BYTES} bytes")

    def _close(self, client: _Client) -> None:
        number = client.sock.fileno()
        if number >= 0:
            del self._clients[number]
            client.sock.close()
