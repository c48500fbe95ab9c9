"""Faults of the machine that functions run on: clocks, disks, damaged files."""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lambda_image.model import SHIPPED_MODEL
from lambda_image.model.engine_files import folder_of
from tests.faults.bed import RANKS, Bed
from tests.faults.fault import Fault, Injection

Given = Iterator[Mapping[str, Any]]
FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")  # Debian's package faketime
DAMAGED_BYTES = 64
ENGINE = r"(weights|engine)[^ ]* is damaged"  # what a warning about it says


def clock_behind(function: str, by: str) -> Injection:
    """A process whose clock of the day is wrong. Its monotonic clock is not.

    Python's `time.sleep` fails under libfaketime then, so that a process with a second fault could not try anew.
    """

    @contextmanager
    def inject(bed: Bed) -> Given:
        count = len(bed.workers[function])
        bed.stop_workers(function)
        environ = {"LD_PRELOAD": str(FAKETIME), "FAKETIME": by, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        bed.start_workers(function, count, **environ)
        bed.system.cloud.wait_until_ready(RANKS)
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
            if size < 1:
                os.truncate(file, int(file.stat().st_size * size))
                continue
            with file.open("r+b") as opened:
                opened.seek(file.stat().st_size // 2)
                bits = opened.read(DAMAGED_BYTES)
                opened.seek(-DAMAGED_BYTES, os.SEEK_CUR)
                opened.write(bytes(byte ^ 0xFF for byte in bits))
        bed.stop_workers("rank")
        bed.start_workers("rank", RANKS, MODEL_PATH=str(model))
        bed.system.cloud.wait_until_ready(RANKS)
        yield {}

    return inject


FAULTS = (
    *(
        (
            Fault("Summarize's clock is 3 h behind", "libfaketime", 20, clock_behind("summarize", "-3h"), alone=True),
            Fault("Init's clock is 3 h ahead", "libfaketime", 20, clock_behind("init", "+3h"), alone=True),
            Fault("all ranks' clocks are 3 h behind", "libfaketime", 20, clock_behind("rank", "-3h"), alone=True),
        )
        if FAKETIME.exists()
        else ()
    ),
    *(
        (
            Fault(
                "bits of the engine's weights are flipped", "64 bytes", 40, damaged_engine(".weights", 1), named=ENGINE
            ),
            Fault(
                "the engine's weights are cut off", "half is left", 40, damaged_engine(".weights", 0.5), named=ENGINE
            ),
            Fault("the engine's library is cut off", "half is left", 40, damaged_engine(".so", 0.5), named=ENGINE),
        )
        if folder_of(SHIPPED_MODEL).exists()
        else ()
    ),
)
