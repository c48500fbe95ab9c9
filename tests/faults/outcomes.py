"""What came of the runs, kept in a file so that many of them can be made a few at a time."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.faults.fault import Fault, Verdict


@dataclass(frozen=True)
class Outcome:
    """One run.

    Attributes:
        faults: The names of what was put into it.
        seed: What drew the faults, None where somebody chose them.
        ended_s: Seconds from the fault to the end.
        kept: Predictions in the result.
        due: How many had to be there.
        named: The words by which the fault was named, None where it was not.
        problems: What is not as promised.
    """

    faults: Sequence[str]
    seed: int | None
    ended_s: float
    kept: int
    due: int
    named: str | None
    problems: Sequence[str]


def outcome(verdict: Verdict, seed: int | None = None) -> Outcome:
    """Takes from a verdict what is kept of it."""
    words = [fault.named for fault in verdict.faults if fault.named]
    found = [match[0] for word in words if (match := re.search(word, verdict.run.said))]
    names = [fault.name for fault in verdict.faults]
    run = verdict.run
    return Outcome(
        names, seed, round(run.seconds, 2), run.samples, verdict.kept, " and ".join(found) or None, verdict.problems
    )


class Outcomes:
    """A file with a line of JSON for each run."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __iter__(self) -> Iterator[Outcome]:
        lines = self._file.read_text().splitlines() if self._file.exists() else ()
        return (Outcome(**json.loads(line)) for line in lines)

    def add(self, outcome: Outcome) -> None:
        """Appends it at once, because a run takes long and the next one may never end."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("a") as file:
            file.write(json.dumps(asdict(outcome)) + "\n")

    def find(self, faults: Sequence[Fault], seed: int | None = None) -> Outcome | None:
        """The latest run of these faults by this seed."""
        names = [fault.name for fault in faults]
        found = [one for one in self if list(one.faults) == names and one.seed == seed]
        return found[-1] if found else None
