"""A fault, and what is promised where it comes."""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from scripts.aws_endpoint import EndpointError
from tests.faults.bed import EACH, RANKS, Bed, Run

SENSIBLE = 1e4  # seconds, galaxies per second and dollars of any run here are fewer


class Place(StrEnum):
    """Where a run takes place, because some faults need more than processes of one host."""

    LOOPBACK = "loopback"
    HOSTS = "hosts"  # ranks have hosts of their own, with a network between them
    QUOTA = "quota"  # the account may run few invocations at a time, and functions are inactive at first


# Breaks something for as long as the block runs, and yields what the execution input needs for that.
Injection = Callable[[Bed], AbstractContextManager[Mapping[str, Any]]]


def one_run(bed: Bed, given: Mapping[str, Any]) -> Run:
    """Makes the run that a fault befalls."""
    return bed.run(**given)


@dataclass(frozen=True)
class Fault:
    """What is broken in a run, and how the run must end then.

    Attributes:
        name: What it is called in the table.
        how: How it is put into the run.
        deadline_s: Seconds from the fault (from the start of the run where the fault was there before) to its end.
        inject: Breaks something.
        lost: Ranks whose predictions cannot be had. All others must be in the result.
        named: What summary or error must say, a regular expression. Empty where nobody needs to know.
        fast: Whether it belongs to what `make test` runs.
        alone: Whether it cannot be put into a run together with another one.
        place: Where it can be put into a run.
        lacking: Why this machine cannot have it, None if it can.
        play: Makes the run.
    """

    name: str
    how: str
    deadline_s: float
    inject: Injection
    lost: frozenset[int] = frozenset()
    named: str = ""
    fast: bool = False
    alone: bool = False
    place: Place = Place.LOOPBACK
    lacking: Callable[[], str | None] = lambda: None
    play: Callable[[Bed, Mapping[str, Any]], Run] = one_run


@dataclass(frozen=True)
class Verdict:
    """What came of faults in one run."""

    faults: Sequence[Fault]
    run: Run
    problems: tuple[str, ...]

    @property
    def kept(self) -> int:
        """How many predictions had to be in the result."""
        return (RANKS - len(_lost(self.faults))) * EACH


def play(faults: Sequence[Fault], bed: Bed) -> Verdict:
    """Puts faults into one run of a sound system, and judges what came of it."""
    bed.reset()
    given: dict[str, Any] = {}
    try:
        with ExitStack() as stack:
            for fault in faults:
                given |= stack.enter_context(fault.inject(bed))
            run = faults[0].play(bed, given)
    except EndpointError as error:  # workers that never start
        run = Run("NOT STARTED", 0.0, str(error), {}, None)
    return Verdict(faults, run, tuple(_problems(faults, bed, run)))


def _lost(faults: Sequence[Fault]) -> frozenset[int]:
    return frozenset().union(*(fault.lost for fault in faults))


def _problems(faults: Sequence[Fault], bed: Bed, run: Run) -> list[str]:
    problems = list(run.problems)
    problems += [] if run.predictions is None else bed.wrong(run.predictions)
    deadline_s, kept = sum(fault.deadline_s for fault in faults), (RANKS - len(_lost(faults))) * EACH
    if run.seconds > deadline_s:
        problems.append(f"it ended after {run.seconds:.1f} s, and {deadline_s:g} s are promised")
    if run.samples < kept:
        problems.append(f"{run.samples} predictions are there, and {kept} should be")
    if run.summary and run.summary["samples"] != run.samples:
        problems.append(f"the summary counts {run.summary['samples']} galaxies, and {run.samples} are there")
    numbers = [run.summary[name] for name in ("wall_s", "samples_per_s", "cost_usd") if name in run.summary]
    if any(number is not None and not 0 <= number < SENSIBLE for number in numbers):
        problems.append(f"wall time, rate or cost make no sense: {numbers}")
    expected = "FAILED" if _lost(faults) else "SUCCEEDED"
    if run.status != expected:
        problems.append(f"the run {run.status.lower()}: {run.said[:300]}")
    for fault in faults if len(faults) == 1 else ():  # of two, one may hide the other
        if fault.named and not re.search(fault.named, run.said):
            problems.append(f"nothing says {fault.named!r}: {run.said[:2000]}")
    return problems
