"""File descriptors of a process: no more than a Lambda has, and how many were open at most."""

import os
import resource
import threading
import time
from pathlib import Path
from types import TracebackType

LAMBDAS = 1024
LOOK_S = 0.05  # between two counts
OPEN = Path("/proc/self/fd")


def limit_descriptors() -> None:
    """Let this process have no more descriptors than a Lambda."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(LAMBDAS, hard), hard))


class DescriptorCount:
    """Counts open descriptors again and again, in a thread; a context manager.

    Attributes:
        most: The highest count.
        cpu_s: Processor seconds that the thread has taken, which are not those of what is measured.
    """

    def __init__(self, look_s: float = LOOK_S) -> None:
        self.most, self.cpu_s = 0, 0.0
        self._look_s, self._ended = look_s, threading.Event()
        self._thread = threading.Thread(target=self._work, name="descriptors", daemon=True)

    def __enter__(self) -> "DescriptorCount":
        self.look()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.look()
        self._ended.set()
        self._thread.join()

    def look(self) -> None:
        """Count once."""
        self.most = max(self.most, len(os.listdir(OPEN)))

    def _work(self) -> None:
        while not self._ended.wait(self._look_s):
            self.look()
            self.cpu_s = time.thread_time()
