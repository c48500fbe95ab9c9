"""Decides which of a function's invocations waits, runs or is refused. No I/O; `now` is monotonic seconds.

A worker polls, is Assigned an invocation, and answers it or is lost. An invocation waits, runs, and leaves exactly
once: Completed with an outcome, or InvocationRefused because nobody took it in time. Methods return the events that the
caller must carry out, in order.
"""

from collections.abc import Collection
from dataclasses import dataclass

from statemachine.local.outcomes import InvocationOutcome, exited, timed_out


class TooManyRequestsError(Exception):
    """Says that too many invocations wait, or that one waited for too long: status 429 on the Invoke API."""


class UnknownInvocationError(Exception):
    """Says that an answered invocation is not running: it was answered before, timed out, or never existed."""


@dataclass(frozen=True)
class Invocation:
    """Describes a call of the function."""

    id: str
    payload: bytes
    expires: float  # when it stops waiting for a worker


@dataclass(frozen=True)
class Running:
    """Describes an invocation that a worker has."""

    worker: str
    started: float
    deadline: float  # when the function's timeout ends it


@dataclass(frozen=True)
class Assigned:
    """Asks to give an invocation to a worker, which waits for one."""

    worker: str
    invocation: Invocation


@dataclass(frozen=True)
class Completed:
    """Asks to tell the caller of an invocation how it ended."""

    id: str
    outcome: InvocationOutcome
    worker: str | None  # None: no worker ever had it
    duration_s: float


@dataclass(frozen=True)
class InvocationRefused:
    """Asks to tell the caller of an invocation that no worker took it in time."""

    id: str
    reason: str


@dataclass(frozen=True)
class Overrun:
    """Asks to end the process of a worker whose invocation ran past the timeout, as Lambda does."""

    worker: str


Event = Assigned | Completed | InvocationRefused | Overrun


class FunctionQueue:
    """Keeps one function's invocations and workers."""

    def __init__(self, timeout_s: float, waiting_limit: int, kept: Collection[str] = ()) -> None:
        """Starts empty. `kept` names the workers that are started anew whenever they end; all others come and go."""
        self.timeout_s = timeout_s
        self.waiting_limit = waiting_limit
        self.kept = frozenset(kept)
        self.waiting: dict[str, Invocation] = {}
        self.running: dict[str, Running] = {}
        self.idle: dict[str, None] = {}  # workers in the order in which they asked
        self.seen: set[str] = set()  # workers that have asked at least once since they were started
        self.broken: dict[str, InvocationOutcome] = {}  # workers whose last start failed, and how

    @property
    def ready(self) -> bool:
        """Says whether every worker that is kept has asked for work; where none is kept, whether any worker has."""
        return self.kept <= self.seen if self.kept else bool(self.seen)

    def submit(self, invocation: Invocation, now: float) -> list[Event]:
        """A caller invokes the function. TooManyRequestsError if too many invocations wait."""
        if not self.idle and len(self.waiting) >= self.waiting_limit:
            raise TooManyRequestsError(
                f"Rate Exceeded: {len(self.running)} invocations run and {len(self.waiting)} wait, "
                f"which is the limit; try again later or start more workers"
            )
        self.waiting[invocation.id] = invocation
        return self._assign(now) + self._give_up(now)

    def withdraw(self, invocation_id: str) -> None:
        """A caller no longer waits. Its invocation is not begun, though it is finished if it has begun."""
        self.waiting.pop(invocation_id, None)

    def poll(self, worker: str, now: float) -> list[Event]:
        """A worker asks for work."""
        self.idle[worker] = None
        self.seen.add(worker)
        self.broken.clear()  # a handler that one worker could load is not what keeps the others from starting
        return self._assign(now)

    def leave(self, worker: str) -> None:
        """A worker hung up before it was given anything."""
        self.idle.pop(worker, None)
        if worker not in self.kept:  # the end of a process that is kept is reported by `lost`
            self.seen.discard(worker)

    def undelivered(self, invocation: Invocation, now: float) -> list[Event]:
        """A worker hung up while it was being given an invocation, which goes back to the head of the queue."""
        if self.running.pop(invocation.id, None) is None:  # it was answered for the worker meanwhile
            return []
        self.waiting = {invocation.id: invocation, **self.waiting}
        return self._assign(now)

    def answer(self, invocation_id: str, outcome: InvocationOutcome, now: float) -> list[Event]:
        """A worker has answered. UnknownInvocationError if this invocation is not running."""
        if invocation_id not in self.running:
            raise UnknownInvocationError(invocation_id)
        return [self._complete(invocation_id, outcome, now)]

    def lost(self, worker: str, returncode: int, now: float) -> list[Event]:
        """A worker's process has ended. What it had is answered in its place."""
        had = [key for key, running in self.running.items() if running.worker == worker]
        events: list[Event] = [self._complete(key, exited(key, returncode), now) for key in had]
        if worker not in self.seen and worker not in self.broken:
            events += self.start_failed(worker, exited(None, returncode), now)
        self.leave(worker)
        self.seen.discard(worker)
        return events

    def hung_up(self, worker: str, now: float) -> list[Event]:
        """The connection of a worker from outside has ended. How its process did is not known."""
        return self.lost(worker, 0, now) if worker in self.seen else []

    def start_failed(self, worker: str, outcome: InvocationOutcome, now: float) -> list[Event]:
        """A worker reported, or showed by exiting, that its handler cannot be loaded."""
        self.broken[worker] = outcome
        return self._give_up(now)

    def expire(self, now: float) -> list[Event]:
        """Ends what has run or waited for too long."""
        events: list[Event] = []
        for key, running in list(self.running.items()):
            if running.deadline <= now:
                events += [self._complete(key, timed_out(key, self.timeout_s), now), Overrun(running.worker)]
        for key, invocation in list(self.waiting.items()):
            if invocation.expires <= now:
                del self.waiting[key]
                events.append(
                    InvocationRefused(key, "Rate Exceeded: no worker became free in time; start more workers")
                )
        return events

    def next_expiry(self) -> float | None:
        """Returns when something will have run or waited for too long; None if nothing runs or waits."""
        times = [running.deadline for running in self.running.values()]
        return min(times + [invocation.expires for invocation in self.waiting.values()], default=None)

    def _assign(self, now: float) -> list[Event]:
        events: list[Event] = []
        while self.idle and self.waiting:
            worker = next(iter(self.idle))
            invocation = self.waiting.pop(next(iter(self.waiting)))
            del self.idle[worker]
            self.running[invocation.id] = Running(worker, now, now + self.timeout_s)
            events.append(Assigned(worker, invocation))
        return events

    def _give_up(self, now: float) -> list[Event]:
        """Where no worker is left that could start, what waits fails with the reason, as each would on Lambda."""
        if self.idle or self.running or not self.broken or not self.kept <= self.broken.keys():
            return []
        outcome = list(self.broken.values())[-1]
        events: list[Event] = [Completed(key, outcome, None, 0.0) for key in self.waiting]
        self.waiting.clear()
        return events

    def _complete(self, invocation_id: str, outcome: InvocationOutcome, now: float) -> Completed:
        running = self.running.pop(invocation_id)
        return Completed(invocation_id, outcome, running.worker, now - running.started)
