"""Becomes `python -m MODULE ARGUMENT...` in a process that cannot outlive the one that started it, however that ends.

The kernel is asked to kill this process when its parent ends (PR_SET_PDEATHSIG), a request that survives exec. Asking
here, between fork and exec but in Python of its own, is safe where `preexec_fn` is not: the parent has threads. Where
there is no such call (macOS), a worker whose endpoint was killed ends itself at its next request to the Runtime API.

    python -I -S child.py PARENT_PID MODULE ARGUMENT...
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def command(module: str, *arguments: str) -> list[str]:
    """Returns the command with which the calling process starts a child.

    The kernel kills the child when the thread that started it ends, so that must be a thread that stays.
    """
    return [sys.executable, "-I", "-S", os.path.abspath(__file__), str(os.getpid()), module, *arguments]


def main(parent: int, module: str, *arguments: str) -> None:
    """Ties this process to `parent`, and becomes the module."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before the kernel was asked
        sys.exit(f"the process that started this one ({parent}) has ended")
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])  # noqa: S606


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
