"""Brings a function's queue to coroutines: callers await outcomes, workers await invocations, and timeouts fire."""

import asyncio
import uuid
from collections import deque
from collections.abc import Callable, Iterable

from lambda_image.json_text import parse_json
from statemachine.local.function_logs import FunctionLogs
from statemachine.local.function_queue import (
    Assigned,
    Completed,
    Event,
    FunctionQueue,
    Invocation,
    InvocationRefused,
    Overrun,
    TooManyRequestsError,
)
from statemachine.local.outcomes import InvocationOutcome
from statemachine.local.settings import FunctionSettings

Emit = Callable[[dict[str, object]], None]  # writes one event to the endpoint's log
# Seconds for which an invocation may wait for a worker, beyond the timeout of the one that runs before it.
MAX_WAIT_S = 60.0


class Dispatcher:
    """Passes one function's invocations to its workers, and their outcomes to the callers."""

    def __init__(self, name: str, settings: FunctionSettings, emit: Emit, logs: FunctionLogs | None = None) -> None:
        self.name = name
        self.settings = settings
        self.kept_workers = [f"{name}/{index}" for index in range(settings.workers)]
        self.queue = FunctionQueue(settings.timeout_s, settings.waiting_limit, kept=self.kept_workers)
        self.kill: dict[str, Callable[[], None]] = {}  # how to end a worker that runs as a process of ours
        self.logs = logs or FunctionLogs(name, settings.memory_mb)
        self.peak_mb: dict[str, Callable[[], int | None]] = {}  # how to ask how much memory a worker of ours has used
        self._emit = emit
        self._callers: dict[str, asyncio.Future[InvocationOutcome]] = {}
        self._pollers: dict[str, asyncio.Future[Invocation]] = {}
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    async def invoke(self, request_id: str, payload: bytes) -> InvocationOutcome:
        """Invokes the function, and returns the outcome.

        Raises:
            TooManyRequestsError: Too many invocations wait, or no worker became free in time.
        """
        now = self._loop.time()
        invocation = Invocation(request_id, payload, expires=now + self.settings.timeout_s + MAX_WAIT_S)
        caller: asyncio.Future[InvocationOutcome] = self._loop.create_future()
        self._callers[request_id] = caller
        try:
            self._carry_out(self.queue.submit(invocation, now))
            return await caller
        finally:
            del self._callers[request_id]
            self.queue.withdraw(request_id)

    async def next(self, worker: str) -> Invocation:
        """Waits for the next invocation for `worker`, without a limit."""
        poller: asyncio.Future[Invocation] = self._loop.create_future()
        self._pollers[worker] = poller
        try:
            self._carry_out(self.queue.poll(worker, self._loop.time()))
            return await poller
        except asyncio.CancelledError:
            self.queue.leave(worker)
            if poller.done() and not poller.cancelled():
                self._carry_out(self.queue.undelivered(poller.result(), self._loop.time()))
            raise
        finally:
            if self._pollers.get(worker) is poller:
                del self._pollers[worker]

    def answer(self, request_id: str, outcome: InvocationOutcome) -> None:
        """Takes a worker's answer. UnknownInvocationError if this invocation is not running."""
        self._carry_out(self.queue.answer(request_id, outcome, self._loop.time()))

    def lost(self, worker: str, returncode: int) -> None:
        """Takes note that the process of a worker has ended."""
        self._carry_out(self.queue.lost(worker, returncode, self._loop.time()))

    def hung_up(self, worker: str) -> None:
        """Takes note that the connection of a worker from outside has ended."""
        self._carry_out(self.queue.hung_up(worker, self._loop.time()))

    def start_failed(self, worker: str, outcome: InvocationOutcome) -> None:
        """Takes note that a worker cannot load its handler."""
        self._carry_out(self.queue.start_failed(worker, outcome, self._loop.time()))

    def health(self) -> dict[str, object]:
        """Returns what the health page says of this function."""
        queue = self.queue
        counts = {"idle": len(queue.idle), "running": len(queue.running), "waiting": len(queue.waiting)}
        broken = [parse_json(outcome.payload) for outcome in queue.broken.values()]
        return {"ready": queue.ready, "workers": len(self.kept_workers), **counts, "start_errors": broken}

    def close(self) -> None:
        """Stops the timeouts."""
        if self._timer:
            self._timer.cancel()

    def _carry_out(self, events: Iterable[Event]) -> None:
        todo = deque(events)
        while todo:
            match event := todo.popleft():
                case Assigned(worker, invocation):
                    if (poller := self._pollers[worker]).done():  # cancelled, though its coroutine does not know yet
                        todo.extend(self.queue.undelivered(invocation, self._loop.time()))
                    else:
                        self.logs.began(worker, invocation.id)
                        poller.set_result(invocation)
                case Completed(request_id, outcome):
                    self._report(event)
                    if (caller := self._callers.get(request_id)) and not caller.done():
                        caller.set_result(outcome)
                case InvocationRefused(request_id, reason):
                    if (caller := self._callers.get(request_id)) and not caller.done():
                        caller.set_exception(TooManyRequestsError(reason))
                case Overrun(worker):
                    if kill := self.kill.get(worker):
                        kill()
        self._set_timer()

    def _set_timer(self) -> None:
        expiry = self.queue.next_expiry()
        if self._timer:
            self._timer.cancel()
        self._timer = None if expiry is None else self._loop.call_at(expiry, self._expire)

    def _expire(self) -> None:
        self._carry_out(self.queue.expire(self._loop.time()))

    def _report(self, done: Completed) -> None:
        if done.worker is not None:
            peak_mb = self.peak_mb.get(done.worker, lambda: None)()
            self.logs.ended(done.worker, done.id, done.duration_s, peak_mb, done.outcome.report_status)
        report = {"event": "report", "function": self.name, "runtime": done.worker, "request_id": done.id}
        self._emit(report | {"duration_ms": round(done.duration_s * 1000, 1), "failed": done.outcome.failed})


def new_request_id() -> str:
    """Makes the id of an invocation."""
    return str(uuid.uuid4())
