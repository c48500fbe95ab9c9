"""What the networks are made of leaves nothing behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.network.namespace import ROOT, unavailable

PATIENCE_S = 60.0  # only a test that fails waits for so long

HOLDER = """
import signal
from tests.network.internet import Internet
from tests.network.site import Site, Translation

with Internet() as internet, internet.attached(Site(Translation.PRESERVING, delay_ms=1)):
    print("up", flush=True)
    signal.pause()
"""


def test_a_killed_test_leaves_no_process_and_no_network():
    if reason := unavailable():
        pytest.skip(reason)
    command = [sys.executable, "-c", HOLDER]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "up\n"
        children = {int(pid) for pid in Path(f"/proc/{holder.pid}/task/{holder.pid}/children").read_text().split()}
        networks = {network(pid) for pid in children}
        assert len(children) == 4, "server, two processes of ranks, and the link"
        assert network(os.getpid()) not in networks
        holder.send_signal(signal.SIGKILL)
    # A network lasts while a process is in it or holds it, and the holder held these.
    deadline = time.monotonic() + PATIENCE_S
    while any(network(pid) in networks for pid in map(int, filter(str.isdigit, os.listdir("/proc")))):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def network(pid: int) -> int | None:
    """Which one the process is in; None if it has ended."""
    try:
        return os.stat(f"/proc/{pid}/ns/net").st_ino
    except OSError:
        return None
