"""A summary of records whose predictions are given as one table."""

from collections.abc import Iterable, Sequence
from typing import Any

from lambda_image.data.predictions import Predictions
from lambda_image.manifest import Assignment
from lambda_image.statistics import Statistics
from lambda_image.summary import Failure, Judgement, Summary


def summarise(
    manifest: Sequence[Assignment],
    records: Sequence[dict[str, Any]],
    found: Predictions,
    failures: Iterable[Failure] = (),
    *,
    tolerated_failures: int = 0,
    wall_s: float | None = 5.0,
    memory_size_mb: int = 512,
    warnings: Iterable[str] = (),
) -> Summary:
    """The first record describes the table of all predictions, and the others none."""
    judgement, by_rank = Judgement(), {one["rank"]: one for one in records}
    for item in manifest:
        statistics, left = Statistics(), by_rank.get(item.rank)
        if left is not None:
            first = left is records[0]
            left = {**left, "predictions": {**(left["predictions"] or {}), "rows": len(found) if first else 0}}
            if first:
                statistics.add(found)
        judgement.add(item.partitions, left, statistics)
    return judgement.summary(
        manifest[0],
        failures,
        predictions="predictions.parquet",
        tolerated_failures=tolerated_failures,
        wall_s=wall_s,
        memory_size_mb=memory_size_mb,
        warnings=warnings,
    )
