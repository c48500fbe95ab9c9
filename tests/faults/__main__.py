"""`python -m tests.faults`: every fault in a real run.

`--pairs 200` puts two faults into each of so many runs instead, drawn by `--seed`. What came of each run is kept in
`--results`, and is not run again as long as it was as promised. So both can be made a few runs at a time. `--page`
writes the tables of docs/faults.md from there.
"""

import argparse
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.faults.beds import beds
from tests.faults.catalogue import EVERY
from tests.faults.fault import Fault, play
from tests.faults.outcomes import Outcome, Outcomes, outcome
from tests.faults.page import PAGE, page
from tests.faults.pairs import pair

PAIRS = 200  # on the page
RESULTS = Path("out/faults.jsonl")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", allow_abbrev=False, description=__doc__)
    parser.add_argument("--only", default="", metavar="REGEX", help="only the faults in whose name this occurs")
    parser.add_argument("--pairs", type=int, default=0, help="so many runs with two faults each")
    parser.add_argument("--seed", type=int, default=0, help="of the first pair, the next one has the next seed")
    parser.add_argument("--results", type=Path, default=RESULTS, help=f"what came of the runs (default: {RESULTS})")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no run after so long")
    parser.add_argument("--page", action="store_true", help="write docs/faults.md from the results, and run nothing")
    arguments = parser.parse_args()
    if arguments.page:
        PAGE.write_text(page(Outcomes(arguments.results), arguments.pairs or PAIRS))
        return 0
    outcomes, until = Outcomes(arguments.results), time.monotonic() + arguments.seconds
    if arguments.pairs:
        seeds = range(arguments.seed, arguments.seed + arguments.pairs)
        wanted = [(pair(seed), seed) for seed in seeds]
    else:
        wanted = [((fault,), None) for _, fault in EVERY if re.search(arguments.only, fault.name)]
    failed = False
    for one in run(wanted, outcomes, until):
        number = "" if one.seed is None else f"{one.seed}: "
        judged = "; ".join(one.problems) or "as promised"
        kept = f"{one.kept} of {one.due} kept"
        print(f"{number}{' and '.join(one.faults)}: {one.ended_s:.1f} s, {kept}: {judged}", flush=True)
        failed |= bool(one.problems)
    return 1 if failed else 0


def run(wanted: Sequence[tuple[Sequence[Fault], int | None]], outcomes: Outcomes, until: float) -> Iterator[Outcome]:
    """Makes the runs that are not known yet, until it is late."""
    left = [(faults, seed) for faults, seed in wanted if not _is_known(outcomes.find(faults, seed))]
    if not left:
        return
    with tempfile.TemporaryDirectory() as folder, beds(Path(folder)) as places:
        for faults, seed in left:
            if reason := next(filter(None, (fault.lacking() for fault in faults)), None):
                print(f"{' and '.join(fault.name for fault in faults)}: skipped: {reason}", file=sys.stderr)
                continue
            if time.monotonic() > until:
                print("not all of them yet", file=sys.stderr)
                return
            found = outcome(play(faults, places.of(faults)), seed)
            outcomes.add(found)
            yield found


def _is_known(found: Outcome | None) -> bool:
    return found is not None and not found.problems


if __name__ == "__main__":
    sys.exit(main())
