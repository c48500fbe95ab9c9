"""Two ranks in every network that docs/network.md names; `python -m tests.network` makes its table of them."""

import os

import pytest

from tests.network.cases import CASES, lacking, play
from tests.network.internet import Internet

# Two, so that each host is once the lower rank. What is promised is 20 of 20: NETWORK_TRIES=20.
TRIES = int(os.environ.get("NETWORK_TRIES", "2"))
AT_ONCE = 2  # of each case; with all cases of a test at the same time that is load enough


@pytest.mark.parametrize("ways", sorted({case.ways for case in CASES}), ids=" or ".join)
def test_ranks_connect_by_the_best_way_there_is(internet: Internet, ways: tuple[str, ...]):
    cases = [case for case in CASES if case.ways == ways]
    impossible = [f"{case.name} needs {need}" for case in cases if (need := lacking(case))]
    played = play(internet, [case for case in cases if not lacking(case)], TRIES, AT_ONCE)
    assert not [f"{case.name}: {one.problem}" for case, tries in played.items() for one in tries if one.problem]
    if impossible:
        pytest.skip(f"the others passed, but {'; '.join(impossible)}, which this kernel does not have")
