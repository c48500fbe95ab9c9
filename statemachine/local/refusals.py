"""Decides which invocations Lambda would not even begin. No I/O; `now` is monotonic seconds.

A refused start is no attempt: no handler sees it, and whoever invoked must come again later.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Refusal:
    """Says why an invocation is not begun, in Lambda's words."""

    status: int
    code: str
    message: str


@dataclass
class Refusals:
    """Keeps what the account and its functions can take at the moment.

    Attributes:
        concurrency: How many invocations the account may have at a time; None for as many as come.
        waking_s: By function, how many seconds it takes to wake. It is inactive until it is invoked, as Lambda makes
            functions that were idle for weeks. One that is not named is active.
    """

    concurrency: int | None = None
    waking_s: Mapping[str, float] = field(default_factory=dict)
    _in_flight: set[str] = field(default_factory=set)
    _active_at: dict[str, float] = field(default_factory=dict)

    def begin(self, function: str, request_id: str, now: float) -> Refusal | None:
        """Counts an invocation that begins, or says why it does not."""
        refusal = self._asleep(function, now) or self._too_many()
        if refusal is None:
            self._in_flight.add(request_id)
        return refusal

    def end(self, request_id: str) -> None:
        """Takes note that an invocation has ended."""
        self._in_flight.discard(request_id)

    def state(self, function: str, now: float) -> str:
        """Returns the state of a function in Lambda's words, without waking it."""
        if function not in self.waking_s:
            return "Active"
        if function not in self._active_at:
            return "Inactive"
        return "Active" if now >= self._active_at[function] else "Pending"

    def _asleep(self, function: str, now: float) -> Refusal | None:
        if function not in self.waking_s:
            return None
        active_at = self._active_at.setdefault(function, now + self.waking_s[function])
        if now >= active_at:
            return None
        message = (
            f"Lambda is initializing your function. It will be ready to invoke shortly. ({function} was inactive, and "
            f"wakes within {active_at - now:.1f} s)"
        )
        return Refusal(409, "CodeArtifactUserPendingException", message)

    def _too_many(self) -> Refusal | None:
        if self.concurrency is None or len(self._in_flight) < self.concurrency:
            return None
        return Refusal(429, "TooManyRequestsException", f"Rate Exceeded. ({self.concurrency} invocations at a time)")
