"""Asks the operating system about this process."""

import math
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

MANY_DESCRIPTORS = 1 << 20  # more than anything here needs
CGROUP = Path("/sys/fs/cgroup")

_IMPORTED = time.perf_counter()


def age_s() -> float:
    """Measures the seconds since the process was started (to 10 ms), interpreter and imports included.

    Where there is no /proc, it measures from the import of this module.
    """
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        started = int(fields[19]) / os.sysconf("SC_CLK_TCK")  # proc(5): starttime, in ticks since the system's boot
        return float(Path("/proc/uptime").read_text().split()[0]) - started
    except OSError:
        return time.perf_counter() - _IMPORTED


AGE_AT_IMPORT_S = age_s()  # where this is imported before anything large: what the interpreter took


def architecture(machine: Callable[[], str] = lambda: os.uname().machine) -> str:
    """Names the processor's architecture as Lambda does: arm64, or x86_64, which stands for all others, too."""
    return "arm64" if machine() in ("aarch64", "arm64") else "x86_64"


def peak_rss_mb() -> float:
    """Reads the most memory that the process ever had resident, in MB of 2**20 bytes."""
    try:  # getrusage counts what the process was before exec as well: its parent's memory
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 2**10
    except (OSError, IndexError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def most_descriptors() -> int:
    """Reads how many file descriptors the process may have open, which on Lambda are 1,024."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MANY_DESCRIPTORS if soft == resource.RLIM_INFINITY else min(soft, MANY_DESCRIPTORS)


def usable_cpus(cgroup: Path = CGROUP) -> int:
    """Counts the CPUs that this process may use at a time.

    These are the CPUs that it may run on, or the container's quota, rounded up, where that is less.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(allowed, _cpu_quota(cgroup))))


def _cpu_quota(cgroup: Path) -> float:
    """CPU time per time that the container may take; infinity where nothing limits it."""
    for files in (
        [cgroup / "cpu.max"],  # version 2
        [cgroup / "cpu" / "cpu.cfs_quota_us", cgroup / "cpu" / "cpu.cfs_period_us"],  # version 1
    ):
        try:
            quota, period = " ".join(file.read_text() for file in files).split()
            return float(quota) / float(period) if quota != "max" and float(quota) > 0 else math.inf
        except (OSError, ValueError):
            continue
    return math.inf
