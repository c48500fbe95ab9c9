"""What the operating system knows of this process."""

import os
import resource
import sys
import time
from pathlib import Path

_IMPORTED = time.perf_counter()


def age_s() -> float:
    """Seconds since the process was started (to 10 ms), interpreter and imports included.

    Where there is no /proc: since this module was imported.
    """
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        started = int(fields[19]) / os.sysconf("SC_CLK_TCK")  # proc(5): starttime, in ticks since the system's boot
        return float(Path("/proc/uptime").read_text().split()[0]) - started
    except OSError:
        return time.perf_counter() - _IMPORTED


def peak_rss_mb() -> float:
    """The most memory that the process ever had resident, in MB of 2**20 bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
