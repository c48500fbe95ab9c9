"""What a measurement ran on, without which its figures mean little."""

import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from lambda_image.model.engine_files import Device
from scripts.bench.rounds import OTHER_WORK, Round


def describe_machine(packages: Sequence[str], device: Device = "cpu") -> dict[str, Any]:
    """Return the processor, memory, system, versions and load average of this machine.

    Args:
        packages: The packages whose versions belong to it; None stands for one that is not installed.
        device: With `cuda`, the GPU is named as well.

    Raises:
        InvalidEvent: There is no GPU, and there should be one.
    """
    return {
        **({"gpu": _gpu_name()} if device == "cuda" else {}),
        "cpu": cpu_model(_read("/proc/cpuinfo")) or platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1_000_000,
        "system": platform.platform(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "versions": {name: _version(name) for name in packages},
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "command": sys.argv[1:],
    }


def cpu_model(cpuinfo: str) -> str:
    """Return the first model name in the text of /proc/cpuinfo, or nothing on ARM, which has part numbers only."""
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return ""


def with_other_work(cpu_s: Callable[[], float | None], measure: Callable[[], Round]) -> Round:
    """Return the round that `measure` finds, and in it how many cores worked on other things meanwhile.

    Args:
        cpu_s: Reads the CPU time of what is measured beside this process; None where that is not known.
        measure: Measures a round.
    """
    other_work = OtherWork(cpu_s)
    figures = measure()
    if figures and (cores := other_work.cores()) is not None:
        figures[OTHER_WORK] = cores
    return figures


class OtherWork:
    """What else the machine does while something is measured. A busy machine's figures are to be taken again."""

    def __init__(self, measured_cpu_s: Callable[[], float | None]) -> None:
        self._measured_cpu_s = measured_cpu_s
        self._began = self._read()

    def cores(self) -> float | None:
        """Return how many cores it took since then, or None. What the host takes from a virtual machine is included."""
        began, now = self._began, self._read()
        if began is None or now is None:
            return None
        (busy_before, own_before, then), (busy, own, at) = began, now
        return max(0.0, (busy - busy_before - own + own_before) / (at - then))

    def _read(self) -> tuple[float, float, float] | None:
        measured, stat = self._measured_cpu_s(), _read("/proc/stat")
        if measured is None or not stat:
            return None
        return busy_s(stat, os.sysconf("SC_CLK_TCK")), measured + time.process_time(), time.perf_counter()


def busy_s(stat: str, ticks_per_s: int) -> float:
    """Return the seconds that all cores together have worked, without idle and iowait, from the text of /proc/stat."""
    user, nice, system, _, _, irq, softirq, steal = map(int, stat.split(maxsplit=9)[1:9])
    return (user + nice + system + irq + softirq + steal) / ticks_per_s


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def _gpu_name() -> str:
    from lambda_image.model.eager import gpu_name  # PyTorch takes seconds to import

    return gpu_name()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
