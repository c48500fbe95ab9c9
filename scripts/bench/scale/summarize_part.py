"""Summarize over so many ranks that have written their tables and records, and taken part in a gather without tables.

Records and tables are made by the code that ranks make them with. They lie in the memory of a server of this
benchmark's own in the place of S3, which makes each rank's objects of a few templates when they are asked for, so that
10,000 ranks with 10,000 galaxies each take no more of this machine than a few.
"""

import json
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

from scripts.bench.errors import BenchmarkError
from scripts.bench.scale.plan import ScalePlan
from scripts.bench.scale.processes import start_function, start_server
from scripts.series import Round

GETS, READ, WRITTEN = "gets", "read_mb", "written_mb"


def summarize_round(plan: ScalePlan, ranks: int, limit_s: float) -> Round:
    """Run Summarize once.

    Args:
        plan: How many galaxies each rank had.
        ranks: How many there are.
        limit_s: The longest that it may take, in seconds.

    Returns:
        Seconds, processor seconds, peak memory in MB, and what was asked of S3.

    Raises:
        BenchmarkError: It failed, or the summary is wrong.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="cosmicai-"))
        spec = {"ranks": ranks, "galaxies": plan.galaxies, "folder": folder}
        server = start_server(stack, "run_server", spec, limit_s)
        told = server.answer()
        summarize = start_function(stack, "summarize", told["port"], limit_s)
        before_mb = summarize.answer()["before_mb"]
        summarize.tell(state={"run": told["run"], "ranks": []}, entered_at=datetime.now(UTC).isoformat())
        answer = summarize.answer()
        server.tell()
        counts = server.answer()
        check_summary(answer["returned"], ranks, plan.galaxies)
        return {
            **answer["figures"],
            "before_mb": before_mb,
            READ: counts.pop("out_bytes") / 2**20,
            WRITTEN: counts.pop("in_bytes") / 2**20,
            **{name: float(count) for name, count in counts.items()},
        }


def check_summary(summary: Mapping[str, Any], ranks: int, galaxies: int) -> None:
    """Make sure that a summary has all ranks and galaxies.

    Raises:
        BenchmarkError: It has not.
    """
    expected = {"status": "succeeded", "samples": ranks * galaxies, "ranks_completed": ranks, "gathered": True}
    if wrong := {name: summary[name] for name, value in expected.items() if summary[name] != value}:
        raise BenchmarkError(f"the summary of {ranks:,} ranks says {json.dumps(wrong)}")
