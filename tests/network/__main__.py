"""`python -m tests.network --tries 20`, as root: every case so many times, and the table of docs/network.md."""

import argparse
import re
import sys
from collections import Counter
from collections.abc import Sequence
from statistics import median

from tests.network.cases import CASES, Case, Try, lacking, play
from tests.network.internet import Internet
from tests.network.namespace import unavailable

AT_ONCE = 4  # tries of one case, so that 20 do not take all day; the next case begins when they have ended


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.network", allow_abbrev=False, description=__doc__)
    parser.add_argument("--tries", type=int, default=20, help="of each case (default 20)")
    parser.add_argument("--case", default="", metavar="REGEX", help="only the cases in whose name this occurs")
    arguments = parser.parse_args()
    if reason := unavailable():
        print(f"no networks can be made here: {reason}", file=sys.stderr)
        return 1
    problems: list[str] = []
    print("| case | connected | way | median | longest |\n| --- | --- | --- | --- | --- |")
    with Internet() as internet:
        for case in CASES:
            if not re.search(arguments.case, case.name):
                continue
            if need := lacking(case):
                problems.append(f"{case.name}: not tried, this kernel lacks {need}")
                continue
            tries = play(internet, [case], arguments.tries, AT_ONCE)[case]
            problems += [f"{case.name}: {one.problem}" for one in tries if one.problem]
            print(row(case, tries), flush=True)
    print(*problems, sep="\n", file=sys.stderr)
    return 1 if problems else 0


def row(case: Case, tries: Sequence[Try]) -> str:
    good = [one for one in tries if not one.problem]
    ways = Counter(one.way for one in good).most_common()
    in_words = (
        ", ".join(f"{way} {number}" for way, number in ways) if len(ways) > 1 else f"{good[0].way}" if good else ""
    )
    seconds = [one.connect_s for one in good]
    times = f"{median(seconds):.3f} s | {max(seconds):.3f} s" if good else "|"
    return f"| {case.name} | {len(good)} of {len(tries)} | {in_words} | {times} |"


if __name__ == "__main__":
    sys.exit(main())
