"""A whole run of one commit, by its own `cosmicai demo`."""

import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from scripts.bench.commit.checkout import run_in
from scripts.series import Round

COMMAND, RUN, COLD_START, INFERENCE, PEAK = "command_s", "run_s", "cold_start_s", "inference_s", "peak_mb"


def run_demo(folder: Path, data: Path | None, world_size: int) -> Round:
    """Return the figures of a run by the code in `folder`, over `data` or the sample galaxies of `make demo`.

    Raises:
        BenchmarkError: The run failed.
    """
    with tempfile.TemporaryDirectory(prefix="cosmicai-") as scratch:
        out = Path(scratch) / "out"
        flags = ["--world-size", str(world_size), "--out", str(out), *(["--data", str(data)] if data else [])]
        started = time.perf_counter()
        run_in(folder, "demo", *flags)
        command_s = time.perf_counter() - started
        summary = json.loads((out / "summary.json").read_text())
        records = [json.loads((out / f"{rank}.json").read_text()) for rank in range(world_size)]
    return {COMMAND: command_s, **figures_of(summary, records)}


def figures_of(summary: Mapping[str, Any], records: Sequence[Mapping[str, Any]]) -> Round:
    """Return what a run's own objects say. The figures of ranks are means over them."""
    return {
        RUN: float(summary["wall_s"]),
        COLD_START: mean(record["phases"]["cold_start_s"] for record in records),
        INFERENCE: mean(record["phases"]["inference_s"] for record in records),
        PEAK: mean(record["total_process_memory (MB)"] for record in records),
    }
