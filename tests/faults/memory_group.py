"""A memory cgroup that leaves a process nothing to grow by, so that the kernel's OOM killer ends it."""

import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

V1, V2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
TRIES, PAUSE_S = 100, 0.02
LIMIT = 1 << 16  # bytes; what a process has before it comes into the group does not count


class MemoryGroup:
    """The group, which is removed at the end, as a context manager."""

    def __enter__(self) -> Self:
        self._path = Path(tempfile.mkdtemp(prefix="cosmicai-", dir=_parent()))
        limits = {"memory.limit_in_bytes": LIMIT, "memory.swappiness": 0} if _is_v1() else {"memory.max": LIMIT}
        for name, value in limits.items():
            (self._path / name).write_text(f"{value}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pid in (self._path / "cgroup.procs").read_text().split():  # a group with processes cannot be removed
            with suppress(OSError):
                (_parent() / "cgroup.procs").write_text(pid)
        for _ in range(TRIES):  # the kernel takes a moment for a process that it has just ended
            with suppress(OSError):
                os.rmdir(self._path)
                return
            time.sleep(PAUSE_S)

    def take(self, pid: int) -> None:
        """Puts a process into the group."""
        (self._path / "cgroup.procs").write_text(f"{pid}")


def lacking() -> str | None:
    """Why no group can be made here, if so."""
    if os.geteuid():
        return "only root may make a memory cgroup"
    try:
        with MemoryGroup():
            return None
    except OSError as error:
        return f"this system lets root make no memory cgroup ({error})"


def _is_v1() -> bool:
    return V1.is_dir()


def _parent() -> Path:
    return V1 if _is_v1() else V2
