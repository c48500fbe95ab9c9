"""What the functions' workers write, as CloudWatch Logs has it: /aws/lambda/FUNCTION, one stream for each worker.

Lines are collected here and handed to moto's log groups in batches, so that writing one costs an invocation nothing.
"""

import asyncio
import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from statemachine.local.settings import ACCOUNT, DEFAULT_REGION

FLUSH_S = 0.25
KEPT = 10_000  # events of a stream; of a worker that goes on for days the oldest are dropped
# A worker's last lines come through a pipe, and its answer may overtake them.
END_DELAY_S = 0.1
_ONE_AT_A_TIME = threading.Lock()  # two threads make groups: one at the start, and one that stores lines


def group_name_of(function: str) -> str:
    """Returns the name of a function's log group."""
    return f"/aws/lambda/{function}"


def stream_name_of(worker: str) -> str:
    """Returns the name of a worker's log stream, which may hold no colon."""
    return f"local/[$LATEST]{worker.replace(':', '-')}"


def _later(delay_s: float, call: Callable[[], None]) -> None:
    asyncio.get_running_loop().call_later(delay_s, call)


@dataclass
class FunctionLogs:
    """Collects the lines of one function's workers.

    Attributes:
        function: Its name.
        memory_mb: What it may use.
        clock: Gives seconds since the epoch.
        later: Calls a function after so many seconds.
    """

    function: str
    memory_mb: int
    clock: Callable[[], float] = time.time
    later: Callable[[float, Callable[[], None]], object] = _later
    _waiting: list[tuple[str, int, str]] = field(default_factory=list)
    _ends: dict[str, list[str]] = field(default_factory=dict)

    def line(self, worker: str, text: str) -> None:
        """Adds what a worker wrote."""
        self._waiting.append((worker, int(self.clock() * 1000), text))

    def began(self, worker: str, request_id: str) -> None:
        """Adds what Lambda writes before an invocation."""
        self._end(worker)
        self.line(worker, f"START RequestId: {request_id} Version: $LATEST")

    def ended(self, worker: str, request_id: str, duration_s: float, peak_mb: int | None, status: str = "") -> None:
        """Adds what Lambda writes after an invocation, once the worker's own last lines have come."""
        duration_ms = duration_s * 1000
        report = [
            f"REPORT RequestId: {request_id}",
            f"Duration: {duration_ms:.2f} ms",
            f"Billed Duration: {math.ceil(duration_ms)} ms",
            f"Memory Size: {self.memory_mb} MB",
        ]
        report += [] if peak_mb is None else [f"Max Memory Used: {peak_mb} MB"]
        report += [f"Status: {status}"] if status else []
        self._ends[worker] = [f"END RequestId: {request_id}", "\t".join(report)]
        self.later(END_DELAY_S, lambda: self._end(worker, request_id))

    def take(self) -> list[tuple[str, int, str]]:
        """Returns what has come since the last call: worker, milliseconds since the epoch, text."""
        taken, self._waiting = self._waiting, []
        return taken

    def _end(self, worker: str, request_id: str = "") -> None:
        lines = self._ends.get(worker, [])
        if lines and lines[0].endswith(request_id):  # an earlier invocation's have been written when this one began
            del self._ends[worker]
            for line in lines:
                self.line(worker, line)


async def keep_log_groups(logs: Iterable[FunctionLogs], ready: "asyncio.Task[Any]") -> None:
    """Hands lines to moto until it is cancelled."""
    await asyncio.shield(ready)
    while True:
        taken = {log.function: log.take() for log in logs}
        if any(taken.values()):
            await asyncio.to_thread(store, taken)
        await asyncio.sleep(FLUSH_S)


def make_log_groups(functions: Iterable[str]) -> None:
    """Makes the log groups of functions, as the stack on AWS has them before the first invocation."""
    for function in functions:
        _stored_group(function)


def store(taken: Mapping[str, Iterable[tuple[str, int, str]]]) -> None:
    """Puts lines into moto's log groups, which it makes where they are missing, as Lambda does."""
    for function, lines in taken.items():
        streams: dict[str, list[dict[str, Any]]] = {}
        for worker, milliseconds, text in lines:
            event = {"timestamp": milliseconds, "message": f"{text}\n"}
            streams.setdefault(stream_name_of(worker), []).append(event)
        if not streams:
            continue
        backend, group = _stored_group(function)
        for name, events in streams.items():
            backend.ensure_log_stream(group, name)
            stream = backend.groups[group].streams[name]
            stream.put_log_events(sorted(events, key=lambda event: int(event["timestamp"])))
            del stream.events[:-KEPT]


def _stored_group(function: str) -> tuple[Any, str]:
    """moto's backend of Logs, and the name of the group in it, which is there now."""
    from moto.backends import get_backend

    backend: Any = get_backend("logs")[ACCOUNT][DEFAULT_REGION]
    group = group_name_of(function)
    with _ONE_AT_A_TIME:
        if group not in backend.groups:
            backend.create_log_group(group, {})
    return backend, group
