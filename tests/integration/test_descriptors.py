"""A rank whose process may have few file descriptors, and is to be connected to many others."""

import json
import subprocess
import sys

import pytest

from lambda_image.errors import RunError
from tests.integration.communicators import ROOT, RUN_KEY, SERVER_KEY, in_threads, join, serving

LIMIT, RANKS = 48, 40
CRAMPED = f"""
import json, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, ({LIMIT}, {LIMIT}))
from lambda_image.comm import Communicator, Topology
identity = dict(run_id="cramped", run_key={RUN_KEY!r}, rank=0, world_size={RANKS}, rendezvous_key={SERVER_KEY!r})
with Communicator.join(sys.argv[1], topology=Topology.STAR, timeout_s=30, **identity) as root:
    gathered = root.gather(b"", timeout_s=4, allow_missing=True)
    files = [open("/dev/null") for _ in range(8)]  # as storage needs them
    print(json.dumps([str(error) for error in gathered.missing.values()]))
"""

pytestmark = pytest.mark.timeout(120)


def test_a_rank_that_runs_out_of_descriptors_says_so_by_name_and_keeps_some():
    with serving(RENDEZVOUS_KEY=SERVER_KEY.decode()) as (endpoint, _):
        root = subprocess.Popen([sys.executable, "-c", CRAMPED, endpoint], cwd=ROOT, stdout=subprocess.PIPE, text=True)

        def leaf(rank: int) -> str:
            with join(endpoint, rank, RANKS, "cramped") as communicator:
                communicator.gather(b"part", timeout_s=20)
            return "gathered"

        outcomes = in_threads(leaf, *range(1, RANKS))
        said = json.loads(root.communicate(timeout=60)[0])
    assert root.returncode == 0
    failed = [one for one in outcomes if isinstance(one, RunError)]
    assert 0 < len(failed) < RANKS - 1
    assert len(said) == len(failed)
    for reason in said:
        assert (
            f"this process may have {LIMIT} file descriptors (RLIMIT_NOFILE) and has no more for connections" in reason
        )
        assert "ulimit -n" in reason
