"""Summarize over so many ranks that have written their records and tables, with and without a gather of records.

The records and tables are those of real galaxies' numbers, made by the code that ranks make them with. They lie in the
memory of a server of this benchmark's own in the place of S3, which makes each rank's objects of a few templates when
they are asked for, so that 10,000 ranks with 10,000 galaxies each take no more of this machine than a few.
"""

import json
import os
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from scripts.bench.errors import BenchmarkError
from scripts.bench.processes import MeasuredProcess
from scripts.bench.scale.init_part import environ_of
from scripts.series import Round

SUMMARIZE_PEAK, SUMMARIZE_SECONDS = "peak_mb", "seconds"


def summarize_round(
    ranks: int, galaxies: int, limit_s: float, combine_limit: int | None = None, gathered: bool = True
) -> Round:
    """Runs Summarize once.

    Args:
        ranks: How many there are.
        galaxies: How many each of them had.
        limit_s: The longest that it may take, in seconds.
        combine_limit: As in the execution input.
        gathered: Whether rank 0 has gathered the ranks' records.

    Returns:
        Seconds, processor seconds, peak memory in MB, and what was asked of S3.

    Raises:
        BenchmarkError: It failed, or the summary is wrong.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="cosmicai-"))
        spec: dict[str, Any] = {"ranks": ranks, "galaxies": galaxies, "gathered": gathered, "folder": folder}
        if combine_limit is not None:
            spec["combine_limit"] = combine_limit
        server = _process(stack, "the object server", "run_server", spec, dict(os.environ), limit_s)
        told = server.answer()
        environ = environ_of(told["port"])
        summarize = _process(stack, "Summarize", "summarize_process", {}, environ, limit_s)
        before_mb = summarize.answer()["before_mb"]
        summarize.tell(run=told["run"])
        answer = summarize.answer()
        server.tell()
        counts = server.answer()
        summary = answer["summary"]
        expected = {"status": "succeeded", "samples": ranks * galaxies, "ranks_completed": ranks, "gathered": gathered}
        if wrong := {name: summary[name] for name, value in expected.items() if summary[name] != value}:
            raise BenchmarkError(f"the summary says {json.dumps(wrong)}")
        return {**answer["figures"], "before_mb": before_mb, **{name: float(count) for name, count in counts.items()}}


def _process(
    stack: ExitStack, name: str, module: str, spec: Mapping[str, Any], environ: Mapping[str, str], limit_s: float
) -> MeasuredProcess:
    process = MeasuredProcess(name, f"scripts.bench.scale.{module}", spec, environ, limit_s, quiet=False)
    stack.callback(process.stop)
    return process
