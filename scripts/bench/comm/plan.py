"""What is measured, how often, and in which order."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scripts.bench.comm.contenders import CONTENDERS, Contender
from scripts.bench.comm.operations import BARRIER, OPERATIONS


@dataclass(frozen=True, slots=True)
class OperationCase:
    """An operation on values of one size."""

    operation: str
    size: int  # bytes at each rank

    @property
    def labels(self) -> dict[str, Any]:
        """How the report tells this case from others."""
        return {"operation": self.operation, "size": self.size}

    def __str__(self) -> str:
        return f"{self.operation} of {format_size(self.size)}" if self.size else self.operation


@dataclass(frozen=True, slots=True)
class CommPlan:
    """What is measured, and how often."""

    rounds: int = 5
    worlds: tuple[int, ...] = (2, 4, 8)
    sizes: tuple[int, ...] = (1_000, 1_000_000, 20_000_000)
    # Times in a round: tens of milliseconds of small ones; as many large ones as give a median.
    counts: Mapping[int, int] = field(default_factory=lambda: {0: 300, 10_000: 100, 2_000_000: 15})
    fewest: int = 3
    warm_up: int = 2
    limit_s: float = 60.0  # for a contender to start, and for each of its rounds
    contenders: tuple[Contender, ...] = CONTENDERS

    def cases(self, operations: Sequence[str] = OPERATIONS) -> Iterator[OperationCase]:
        """Yield every operation on values of every size."""
        for operation in operations:
            for size in (0,) if operation == BARRIER else self.sizes:
                yield OperationCase(operation, size)

    def count(self, size: int) -> int:
        """Return how many times a round repeats an operation on values of so many bytes."""
        return next((count for limit, count in sorted(self.counts.items()) if size <= limit), self.fewest)

    def steps(self, operations: Sequence[str]) -> int:
        """Return how many rounds there are."""
        return len(self.worlds) * len(list(self.cases(operations))) * self.rounds * len(self.contenders)


QUICK = CommPlan(rounds=2, worlds=(2, 4), counts={0: 100, 10_000: 30, 2_000_000: 5}, fewest=2)


def format_size(size: int) -> str:
    """Return a number of bytes in the largest unit that it fills."""
    for unit, factor in (("MB", 1_000_000), ("kB", 1_000)):
        if size >= factor:
            return f"{size / factor:g} {unit}"
    return f"{size} bytes"
