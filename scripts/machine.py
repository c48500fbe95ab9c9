"""What a measurement ran on, without which its figures mean little."""

import os
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from lambda_image.model.engine_files import Device


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
        "cpu": cpu_model(read_text("/proc/cpuinfo")) or platform.processor() or platform.machine(),
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


def read_text(path: str) -> str:
    """Return the text of a file of the system, or nothing where there is none."""
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
