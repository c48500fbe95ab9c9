"""`python -m tests.faults`: every fault in a real run, and the table of docs/faults.md.

`--pairs 200` puts two faults into each of so many runs instead, drawn by `--seed`.
"""

import argparse
import random
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.faults.bed import Bed, bed
from tests.faults.catalogue import EVERY, GROUPS
from tests.faults.fault import Verdict, play

HEAD = """| fault | how | deadline | ended after | predictions kept | named |
| --- | --- | --- | --- | --- | --- |"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", allow_abbrev=False, description=__doc__)
    parser.add_argument("--only", default="", metavar="REGEX", help="only the faults in whose name this occurs")
    parser.add_argument("--pairs", type=int, default=0, help="so many runs with two faults each")
    parser.add_argument("--seed", type=int, default=0, help="of the first pair, the next one has the next seed")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, bed(Path(folder)) as made:
        if arguments.pairs:
            problems = list(pairs(made, range(arguments.seed, arguments.seed + arguments.pairs)))
        else:
            problems = list(one_by_one(made, arguments.only))
    print(*problems, sep="\n", file=sys.stderr)
    return 1 if problems else 0


def one_by_one(made: Bed, only: str) -> Iterator[str]:
    """Prints a table for each group, and yields what is not as promised."""
    for group, faults in GROUPS.items():
        chosen = [fault for fault in faults if re.search(only, fault.name)]
        if chosen:
            print(f"\n## Faults of {group}\n\n{HEAD}")
        for fault in chosen:
            verdict = play([fault], made)
            print(row(verdict), flush=True)
            yield from (f"{fault.name}: {problem}" for problem in verdict.problems)


def pairs(made: Bed, seeds: range) -> Iterator[str]:
    """Prints a line for each seed, and yields what is not as promised."""
    together = [fault for _, fault in EVERY if not fault.alone]
    for seed in seeds:
        chosen = random.Random(seed).sample(together, 2)
        verdict = play(chosen, made)
        names = " and ".join(fault.name for fault in chosen)
        judged = "; ".join(verdict.problems) or "as promised"
        print(f"{seed}: {names}: {verdict.run.seconds:.1f} s, {verdict.run.samples} kept: {judged}", flush=True)
        yield from (f"seed {seed}, {names}: {problem}" for problem in verdict.problems)


def row(verdict: Verdict) -> str:
    """A line of the table."""
    (fault,), run = verdict.faults, verdict.run
    found = re.search(fault.named, run.said) if fault.named else None
    named = f"`{found[0]}`" if found else "-"
    kept = f"{run.samples} of {verdict.kept}"
    return f"| {fault.name} | {fault.how} | {fault.deadline_s:g} s | {run.seconds:.1f} s | {kept} | {named} |"


if __name__ == "__main__":
    sys.exit(main())
