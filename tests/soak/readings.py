"""What a process holds at one moment, and whether it holds more than it did."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

ALLOWED = 0.02  # growth of each number from the end of the warm-up to the end
MIB = 1024 * 1024
COUNTED = {"descriptors", "threads", "tasks"}
SETTLING_S, LOOK_S = 30.0, 0.1  # for the last threads and connections to end on a busy machine; between two looks


@dataclass(frozen=True)
class Holding:
    """What a process holds. None where it does not tell."""

    descriptors: int
    threads: int
    tasks: int | None  # of its event loop
    rss_mib: float

    @classmethod
    def of(cls, pid: int, tasks: int | None = None) -> "Holding":
        """Reads that of a process of this machine, which must be at rest."""
        proc = Path(f"/proc/{pid}")
        pages = int((proc / "statm").read_text().split()[1])
        rss_mib = pages * os.sysconf("SC_PAGE_SIZE") / MIB
        return cls(len(list((proc / "fd").iterdir())), len(list((proc / "task").iterdir())), tasks, rss_mib)


@dataclass(frozen=True)
class Soaked:
    """A process, after its warm-up and at the end."""

    name: str
    before: Holding
    after: Holding

    def rows(self) -> list[tuple[str, str, str, str, bool]]:
        """What is held, how much before and after, the change, and whether that is allowed."""
        found = []
        for field in fields(Holding):
            before, after = getattr(self.before, field.name), getattr(self.after, field.name)
            if before is not None and after is not None:
                change = (after - before) / before if before else float(after)
                shown = [f"{value:.1f}" if isinstance(value, float) else f"{value}" for value in (before, after)]
                found.append((field.name, *shown, f"{change:+.1%}", change <= ALLOWED))
        return found  # type: ignore[return-value]

    @property
    def kept_nothing(self) -> bool:
        """Says whether each number is back within the allowed growth."""
        return all(allowed for *_, allowed in self.rows())


def settled(read: Callable[[], Sequence[Holding]], before: Sequence[Holding]) -> Sequence[Holding]:
    """Reads what processes hold until that is no more than before, of what is counted. What they keep stays more."""
    until = time.monotonic() + SETTLING_S
    while True:
        found = read()
        pairs = [Soaked("", *each) for each in zip(before, found, strict=True)]
        more = [name for pair in pairs for name, *_, allowed in pair.rows() if name in COUNTED and not allowed]
        if not more or time.monotonic() > until:
            return found
        time.sleep(LOOK_S)


NAMES = {"descriptors": "descriptors", "threads": "threads", "tasks": "asyncio tasks", "rss_mib": "RSS, MiB"}


def table(soaked: list[Soaked], warm_up: str, end: str) -> str:
    """The table of the documents."""
    lines = [f"| process | holds | after {warm_up} | after {end} | change |", "| --- | --- | ---: | ---: | ---: |"]
    for process in soaked:
        for name, before, after, change, allowed in process.rows():
            mark = "" if allowed else " (too much)"
            lines.append(f"| {process.name} | {NAMES[name]} | {before} | {after} | {change}{mark} |")
    return "\n".join(lines)
