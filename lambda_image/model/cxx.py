"""The C++ compiler's part: native/ as one library with every instruction set of this kind of machine."""

import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lambda_image.errors import CheckpointError
from lambda_image.model.engine_files import NATIVE

COMPILE_TIMEOUT_S = 300.0  # takes 4 s on one core of 2024
# No -ffast-math: it would set flags of the whole process, and change what the comparisons with NaN say.
FLAGS = ("-O3", "-std=c++20", "-fPIC", "-fno-math-errno", "-fno-trapping-math", "-Wno-psabi")
# Each includes the ones before it. Lambda promises AVX2; its Arm processors have the dot product of 8.2.
INSTRUCTION_SETS: dict[str, dict[str, Sequence[str]]] = {
    "x86_64": {"avx2": ["-march=x86-64-v3"], "avx512": ["-march=x86-64-v4", "-mavx512vnni"]},
    "aarch64": {"neon": ["-march=armv8.2-a+dotprod"]},
}


def instruction_sets(machine: str | None = None) -> list[str]:
    return list(INSTRUCTION_SETS.get(machine or platform.machine(), {}))


def compile_library(library: Path, compiler: str | None = None, machine: str | None = None) -> None:
    """Compiles by `compiler` (default: CXX, or g++) for `machine` (default: this one). Raises CheckpointError."""
    compiler = compiler or os.environ.get("CXX") or shutil.which("g++")
    machine = machine or platform.machine()
    sets = INSTRUCTION_SETS.get(machine)
    if compiler is None or sets is None:
        why = "g++ is not here: install it, or name a compiler in CXX" if sets else f"{machine} is not known"
        raise CheckpointError(f"the engine cannot be compiled: {why}")
    with tempfile.TemporaryDirectory() as folder:
        jobs: list[tuple[Path, Path, list[str]]] = [(NATIVE / "dispatch.cpp", Path(folder) / "dispatch.o", [])]
        jobs += [(NATIVE / "engine.cpp", Path(folder) / f"{n}.o", [f"-DSET={n}", *flags]) for n, flags in sets.items()]
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda job: _run([compiler, *FLAGS, *job[2], "-c", str(job[0]), "-o", str(job[1])]), jobs))
        # Only the C library, which every image has: no C++ runtime is used.
        libraries = ["-nodefaultlibs", "-lgcc", "-lpthread", "-lm", "-lc"]
        _run([compiler, "-shared", "-o", str(library), *(str(job[1]) for job in jobs), *libraries])


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMPILE_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CheckpointError(f"the engine cannot be compiled: {error}") from error
    if done.returncode:
        raise CheckpointError(f"the engine cannot be compiled: {' '.join(command)} failed:\n{done.stderr[-2000:]}")
