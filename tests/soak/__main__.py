"""`python -m tests.soak`: what long use leaves behind in a rendezvous server and in warm ranks, as a table.

Each process is looked at after a warm-up and at the end. The status is 1 where it holds 2 % more of anything then.
"""

import argparse
import sys

from tests.soak.ranks import soak_ranks
from tests.soak.readings import Soaked, table
from tests.soak.server import soak_server


def main() -> int:
    """Prints a table for the server and one for the ranks."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.soak", allow_abbrev=False, description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--groups", type=int, default=2_000, help="of the server (default: %(default)s; 0: no server)")
    parser.add_argument("--joins", type=int, default=100_000, help="in all groups together (default: %(default)s)")
    parser.add_argument("--group-warm-up", type=int, default=200, help="groups before (default: %(default)s)")
    parser.add_argument(
        "--invocations", type=int, default=1_000, help="of each rank process (default: %(default)s; 0: no ranks)"
    )
    parser.add_argument("--rank-warm-up", type=int, default=100, help="invocations before (default: %(default)s)")
    given = parser.parse_args()
    soaked: list[Soaked] = []
    if given.groups:
        server = soak_server(given.groups, given.joins, given.group_warm_up)
        end = f"{given.joins:,} more joins"
        print(table([server], f"{given.group_warm_up:,} groups", end) + "\n", flush=True)
        soaked.append(server)
    if given.invocations:
        ranks = soak_ranks(given.invocations, given.rank_warm_up)
        print(table(ranks, f"{given.rank_warm_up:,} invocations", f"{given.invocations:,} more"), flush=True)
        soaked += ranks
    grown = [process.name for process in soaked if not process.kept_nothing]
    if grown:
        print(f"more than 2 % are left in {', '.join(grown)}", file=sys.stderr)
    return 1 if grown else 0


if __name__ == "__main__":
    sys.exit(main())
