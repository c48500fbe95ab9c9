"""A small soak, and that a process which keeps something is found. `make soak` runs the long one."""

import mmap
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.soak.__main__ import main
from tests.soak.ranks import soak_ranks
from tests.soak.readings import MIB, Holding, Soaked, table
from tests.soak.server import soak_server

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="reads /proc, which only Linux has")
YOUNG = 0.06  # by which memory may grow here, where little has been used yet


def kept(soaked: Soaked) -> set[str]:
    """What has grown. Of memory, the buffers of a warm-up as short as this one count as none."""
    grown = {name for name, *_, allowed in soaked.rows() if not allowed}
    return grown - ({"rss_mib"} if soaked.after.rss_mib < soaked.before.rss_mib * (1 + YOUNG) else set())


def test_a_server_keeps_nothing_of_groups_relays_and_pairs_that_have_ended():
    soaked = soak_server(groups=50, joins=1_000, warm_up=25)
    assert kept(soaked) == set(), table([soaked], "warm-up", "more")
    assert soaked.after.tasks is not None


def test_warm_ranks_keep_nothing_of_earlier_invocations():
    soaked = soak_ranks(invocations=10, warm_up=8)
    assert len(soaked) == 3
    assert {process.name: kept(process) for process in soaked} == {process.name: set() for process in soaked}


KEEPING = {
    "descriptors": "import socket; kept = []; keep = lambda: kept.append(socket.socket())",
    "threads": "import threading; keep = lambda: threading.Thread(target=threading.Event().wait, daemon=True).start()",
}
KEEPER = """{keeping}
print("ready", flush=True)
input()
for _ in range({times}):
    keep()
print("kept", flush=True)
input()
"""


@pytest.mark.parametrize("what", KEEPING)
def test_what_a_process_keeps_is_found(what: str):
    # A process of its own, as threads that earlier tests left end in this one when they like.
    code = KEEPER.format(keeping=KEEPING[what], times=2)
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        before = Holding.of(process.pid)
        process.stdin.write(b"\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"kept\n"
        soaked = Soaked("a process", before, Holding.of(process.pid))
        process.communicate(b"\n")
    assert not soaked.kept_nothing
    assert what in kept(soaked)
    assert "(too much)" in table([soaked], "warm-up", "more")


def test_memory_and_tasks_count_too():
    before = Holding(10, 3, 2, 100.0)
    assert Soaked("p", before, Holding(10, 2, 2, 102.0)).kept_nothing
    assert not Soaked("p", before, Holding(10, 3, 2, 102.1)).kept_nothing
    assert not Soaked("p", before, Holding(10, 3, 3, 100.0)).kept_nothing
    with mmap.mmap(-1, 40 * MIB) as memory:  # given back at once, which malloc need not do
        memory.write(b"x" * len(memory))
        with_it = Holding.of(os.getpid()).rss_mib
    assert with_it - Holding.of(os.getpid()).rss_mib > 30


def test_the_status_says_what_was_found(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(
        sys, "argv", ["soak", "--groups", "4", "--joins", "40", "--group-warm-up", "8", "--invocations", "0"]
    )
    status = main()
    shown = capsys.readouterr()
    assert "| rendezvous server | descriptors |" in shown.out
    assert status == ("(too much)" in shown.out)
    assert bool(shown.err) == bool(status)
