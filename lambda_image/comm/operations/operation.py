"""An operation as one rank takes part in it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from lambda_image.comm.channel.signals import Kind
from lambda_image.comm.channel.values import Value
from lambda_image.comm.closing import Closing
from lambda_image.errors import CommunicationError, RendezvousError


class Operation:
    """Keeps what an operation is, and by rank what was received and what has failed."""

    watch_aborts = False  # whether failures are heard also of ranks from which nothing is due any more
    await_retries = False  # whether a newer attempt may still bring what a lost one has not
    closing: Closing | None = None  # of an operation whose end is not known when it begins
    names: Sequence[int] | None = None  # what texts call the ranks, by rank, where they are members of a larger group
    on_received: Callable[[int, Value, int], None] | None = None  # with rank, value and flags of each complete frame

    def __init__(
        self,
        rank: int,
        number: int,
        kind: Kind,
        deadline: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.rank = rank  # this one
        self.number, self.kind = number, kind
        self.code = int(kind)
        self.deadline = deadline
        self.clock = clock
        self.began = clock()
        self.received: dict[int, list[Value]] = {}  # in order of arrival
        self.failed: dict[int, CommunicationError] = {}

    @property
    def patient(self) -> bool:
        """Whether everybody is awaited, whatever has become of him."""
        return self.closing is not None and self.closing.open

    def error(
        self, kind: type[CommunicationError], peer: int, reason: str, cause: RendezvousError | None = None
    ) -> CommunicationError:
        """Of this operation, for which `peer` is the reason. A `cause` is of that kind, and its own fields are kept."""
        phase, elapsed_s = self.kind.name.lower(), self.clock() - self.began
        here, there = (self.names[rank] if self.names else rank for rank in (self.rank, peer))
        error = replace(
            cause or kind(""),
            message=f"rank {here}, {phase}: rank {there} {reason} ({elapsed_s:.1f} s after its start)",
            rank=self.rank,
            peer=peer,
            phase=phase,
            elapsed_s=round(elapsed_s, 3),
            reason=reason,
        )
        if cause is not None:
            error.__cause__ = cause
        return error
