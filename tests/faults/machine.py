"""Faults of the machine that functions run on: clocks, disks, damaged files."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from lambda_image.model import SHIPPED_MODEL
from lambda_image.model.engine_files import folder_of
from tests.faults.bed import PREFIX, RANKS, Bed, Run
from tests.faults.fault import Fault, Injection
from tests.faults.ranks import nothing_yet
from tests.faults.worker import ROOT
from tests.integration.system import BUCKET

Given = Iterator[Mapping[str, Any]]
FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")  # Debian's package faketime
CHECKPOINT = r"CheckpointError.*?damaged-\S*?\.safetensors"
LEFT = "left on the disk:"
# In a mount namespace of its own, with which the disk goes. What lies on it at the end is told first.
ON_A_SMALL_DISK = (
    f'mount -t tmpfs -o size=16k tmpfs "$0" && "$@"; status=$?; echo; echo "{LEFT}"; ls -A "$0"; exit $status'
)
DAMAGED_BYTES = 64
ENGINE = r"(weights|engine)[^ ]* is damaged"  # what a warning about it says


def clock_wrong(function: str, by: str) -> Injection:
    """A process whose clock of the day is wrong. Its monotonic clock is not.

    Python's `time.sleep` fails under libfaketime then, so that a process with a second fault could not try anew.
    """

    @contextmanager
    def inject(bed: Bed) -> Given:
        count = len(bed.workers[function])
        bed.stop_workers(function)
        environ = {"LD_PRELOAD": str(FAKETIME), "FAKETIME": by, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        bed.start_workers(function, count, **environ)
        bed.wait_until_ready()
        yield {}

    return inject


def damaged_engine(suffix: str, size: float) -> Injection:
    """Ranks whose compiled engine has a damaged file. `size` is the part of it that is left; 1 flips bits instead."""

    @contextmanager
    def inject(bed: Bed) -> Given:
        folder = bed.folder / f"damaged{suffix}-{size}"
        model = folder / SHIPPED_MODEL.name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        shutil.copy(SHIPPED_MODEL, model)
        shutil.copytree(folder_of(SHIPPED_MODEL), folder_of(model))
        for file in folder_of(model).glob(f"*{suffix}"):
            damage(file, size)
        bed.stop_workers("rank")
        bed.start_workers("rank", RANKS, MODEL_PATH=str(model))
        bed.wait_until_ready()
        yield {}

    return inject


@contextmanager
def no_room_for_files(bed: Bed) -> Given:
    for function in ("init", "rank", "summarize"):
        count = len(bed.workers[function])
        bed.stop_workers(function)
        bed.start_workers(function, count, wrapper=("prlimit", "--fsize=0"))
    bed.wait_until_ready()
    yield {}


def with_results_on_a_full_disk(bed: Bed, given: Mapping[str, Any]) -> Run:
    """The user's command has a run made, and cannot keep its results. The endpoint has them still."""
    path = f"results/full-disk-{time.monotonic_ns()}"
    wanted = {"bucket": BUCKET, "data_prefix": PREFIX, "world_size": RANKS, "batch_size": 1, "result_path": path}
    execution_input, disk = bed.folder / "full-disk.json", bed.folder / "disk"
    execution_input.write_text(json.dumps({**wanted, **given}))
    disk.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "scripts", "invoke", str(execution_input), "--out", str(disk / "out")]
    command += ["--endpoint-url", bed.system.cloud.endpoint_url]
    began = time.monotonic()
    script = ["unshare", "--mount", "sh", "-c", ON_A_SMALL_DISK, str(disk), *command]
    done = subprocess.run(script, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    seconds = time.monotonic() - began
    said, _, left = done.stdout.partition(LEFT)
    bed.path = path
    run = bed.look({"status": "SUCCEEDED"}, seconds)
    problems = [] if done.returncode == 1 else [f"the command ends with status {done.returncode}"]
    problems += [f"{left.split()} is left on the disk"] if left.split() else []
    problems += ["it shows a traceback"] if "Traceback" in said else []
    return replace(run, said=said, problems=tuple(problems))


def damaged_weights(size: float) -> Injection:
    """Ranks without a compiled engine, whose checkpoint is damaged. `size` is as for an engine."""

    @contextmanager
    def inject(bed: Bed) -> Given:
        model = bed.folder / f"damaged-{size}.safetensors"
        convert_again(model)
        damage(model, size)
        bed.stop_workers("rank")
        bed.start_workers("rank", RANKS, MODEL_PATH=str(model))
        yield {}

    return inject


def convert_again(model: Path) -> None:
    """Writes the shipped weights as any checkpoint is written."""
    from lambda_image.model import checkpoint

    checkpoint.save(model, checkpoint.load(SHIPPED_MODEL))


def damage(file: Path, size: float) -> None:
    """Leaves a part of a file, or flips bits in its middle where all of it is left."""
    if size < 1:
        os.truncate(file, int(file.stat().st_size * size))
        return
    with file.open("r+b") as opened:
        opened.seek(file.stat().st_size // 2)
        bits = opened.read(DAMAGED_BYTES)
        opened.seek(-DAMAGED_BYTES, os.SEEK_CUR)
        opened.write(bytes(byte ^ 0xFF for byte in bits))


def no_libfaketime() -> str | None:
    return None if FAKETIME.exists() else f"{FAKETIME} is missing (package faketime)"


def no_engine() -> str | None:
    return None if folder_of(SHIPPED_MODEL).exists() else "no engine is compiled (cosmicai compile)"


def no_root() -> str | None:
    return "only root may mount a disk" if os.geteuid() else None


FAULTS = (
    *(
        Fault(what, "libfaketime", 20, clock_wrong(function, by), alone=True, lacking=no_libfaketime)
        for what, function, by in (
            ("Summarize's clock is 3 h behind", "summarize", "-3h"),
            ("Init's clock is 3 h ahead", "init", "+3h"),
            ("all ranks' clocks are 3 h behind", "rank", "-3h"),
        )
    ),
    *(
        Fault(what, how, 40, damaged_engine(suffix, size), named=ENGINE, lacking=no_engine)
        for what, how, suffix, size in (
            ("bits of the engine's weights are flipped", "64 bytes", ".weights", 1),
            ("the engine's weights are cut off", "half is left", ".weights", 0.5),
            ("the engine's library is cut off", "half is left", ".so", 0.5),
        )
    ),
    *(
        Fault(what, how, 40, damaged_weights(size), lost=frozenset(range(RANKS)), named=CHECKPOINT, alone=True)
        for what, how, size in (
            ("bits of the weights are flipped", "64 bytes, where no engine is compiled", 1),
            ("the weights are cut off", "half is left, where no engine is compiled", 0.5),
        )
    ),
    Fault("the functions' disk is full", "RLIMIT_FSIZE of no bytes", 20, no_room_for_files),
    Fault(
        "the disk for the results is full",
        "a tmpfs of 16 kB as --out of cosmicai invoke",
        60,
        nothing_yet,
        named="results could not be written to --out .*No space left on device",
        alone=True,
        lacking=no_root,
        play=with_results_on_a_full_disk,
    ),
)
