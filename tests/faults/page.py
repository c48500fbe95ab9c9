"""docs/faults.md, written from what came of the runs."""

import re
from collections.abc import Iterator
from pathlib import Path

from tests.faults.bed import EACH, RANKS
from tests.faults.catalogue import GROUPS
from tests.faults.outcomes import Outcome, Outcomes
from tests.faults.pairs import pair

LONGEST = 100  # letters of what named a fault
PAGE = Path(__file__).resolve().parents[2] / "docs" / "faults.md"
INTRODUCTION = f"""# Faults

Each row is a fault in a real run of {RANKS} ranks with {EACH} galaxies each. Processes, sockets and the state
machine are real, and S3 is that of the local endpoint. A run must end within the deadline, which counts from the fault,
or from the start of the run where the fault was there before. Its result must hold the predictions of every rank that
could be saved, with the right values and each once. The last column shows by which words the summary or the error
names what was wrong. A dash means that nothing was lost and nobody needs to know.

`make faults` plays all of them as tests, and `make test` the quick ones. `python -m tests.faults` plays them as well
and keeps what came of them in `out/faults.jsonl`, from which `python -m tests.faults --page` writes this page. The
times are those of a machine with two cores (AMD EPYC) that worked on other things as well.

Faults of the network need network namespaces, and so root and Linux. A fault whose needs are missing is skipped, and
says why.
"""
SINGLE = """| fault | how | deadline | ended after | predictions kept | named |
| --- | --- | --- | --- | --- | --- |"""
PAIRS = """
## Two faults at once

`python -m tests.faults --pairs {count}` puts two faults into each of {count} runs. A seed draws them. The deadline is
that of both together, and the predictions of the ranks that either of them costs may be missing.

{judged}

| seed | faults | deadline | ended after | predictions kept | as promised |
| --- | --- | --- | --- | --- | --- |"""


def page(outcomes: Outcomes, count: int) -> str:
    """Writes the page.

    Args:
        outcomes: Of all faults, one by one, and of the pairs.
        count: How many pairs there should be, by the seeds from 0 on.
    """
    return "\n".join([INTRODUCTION, *_singles(outcomes), *_pairs(outcomes, count)]) + "\n"


def _singles(outcomes: Outcomes) -> Iterator[str]:
    for group, faults in GROUPS.items():
        yield f"## Faults of {group}\n\n{SINGLE}"
        for fault in faults:
            yield f"| {fault.name} | {fault.how} | {fault.deadline_s:g} s | {_ended(outcomes.find([fault]))} |"
        yield ""


def _ended(found: Outcome | None) -> str:
    if found is None:
        return "not run yet | - | -"
    if found.problems:
        return f"{found.ended_s:.1f} s | {found.kept} of {found.due} | not as promised: {'; '.join(found.problems)}"
    named = f"`{_short(found.named)}`" if found.named else "-"
    return f"{found.ended_s:.1f} s | {found.kept} of {found.due} | {named}"


def _short(words: str) -> str:
    """Without the folders of one machine, and no longer than a cell of a table bears."""
    words = re.sub(r"/tmp/(?:[^/\s]+/)*", "", words)
    return words if len(words) <= LONGEST else f"{words[:LONGEST]}..."


def _pairs(outcomes: Outcomes, count: int) -> Iterator[str]:
    drawn = [(seed, pair(seed)) for seed in range(count)]
    runs = [(seed, faults, found) for seed, faults in drawn if (found := outcomes.find(faults, seed))]
    good = sum(not found.problems for _, _, found in runs)
    slowest = max((found.ended_s for _, _, found in runs), default=0.0)
    judged = f"{good} of {len(runs)} runs ended as promised, and the slowest took {slowest:.1f} s."
    if left := count - len(runs):
        judged += f" {left} of the {count} seeds have not been run yet."
    yield PAIRS.format(count=count, judged=judged).lstrip("\n")
    for seed, faults, found in runs:
        names = "; ".join(fault.name for fault in faults)
        deadline_s = sum(fault.deadline_s for fault in faults)
        yield (
            f"| {seed} | {names} | {deadline_s:g} s | {found.ended_s:.1f} s | {found.kept} of {found.due} | "
            f"{'; '.join(found.problems) or 'yes'} |"
        )
