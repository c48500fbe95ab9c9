"""Runs for reports to tell of."""

from typing import Any

import numpy as np

from lambda_image.summary import Failure
from scripts.report.run_facts import FlaggedRow, RunFacts
from tests.unit.lambda_image.judged import summarise
from tests.unit.lambda_image.test_results import manifest, record
from tests.unit.lambda_image.test_summary import predictions

START = 1_700_000_000.0  # seconds since the epoch


def records(count: int, apart_s: float = 1.0) -> list[dict[str, Any]]:
    """Ranks whose invocations began one after another, and lasted 4 s behind a cold start of 1 s."""
    return [
        {
            **record(1, transport="direct" if rank else "self"),
            "rank": rank,
            "s3_first_request_time": START + apart_s * rank,
        }
        for rank in range(count)
    ]


def run_facts(count: int = 2, galaxies: int = 40, *, flagged: bool = False, failed: bool = False) -> RunFacts:
    """A run of so many ranks and galaxies."""
    lost = [Failure(1, "PartitionMissing", "s3://b/d/1.pt </script> does not exist")] if failed else []
    ranks = records(count)
    whole = predictions(galaxies)
    summary = summarise(manifest(count), ranks, whole, lost, wall_s=float(count + 5)).to_json()
    summary["rows"]["predicted"] = galaxies
    if flagged:
        summary["rows"]["flags"] = {"magnitude_bad": 3, "not_detected": 0}
    true = whole.redshift_true + np.where(np.arange(galaxies) == 0, 3.0, 0.0).astype(np.float32)  # one far outlier
    rows = [FlaggedRow("d/0.pt", 7, 4 + 128)] if flagged else []
    return RunFacts("out/demo", summary, ranks, whole.redshift, true, rows)
