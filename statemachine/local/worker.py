"""Becomes `python -m awslambdaric HANDLER` in a process that cannot outlive the endpoint, however that ends.

The kernel is asked to kill this process when its parent ends (PR_SET_PDEATHSIG), a request that survives exec. Asking
here, between fork and exec but in Python of its own, is safe where `preexec_fn` is not: the endpoint has threads. Where
there is no such call (macOS), a worker whose endpoint was killed ends itself at its next request to the Runtime API.

    python -I -S worker.py PARENT_PID HANDLER
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(parent: int, handler: str) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before the kernel was asked
        sys.exit(f"the endpoint (process {parent}) has ended")
    os.execv(sys.executable, [sys.executable, "-m", "awslambdaric", handler])  # noqa: S606


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
