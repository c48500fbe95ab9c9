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
    failures: Iterable[Failure],
    **given: Any,
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
        judgement.add([part.key for part in item.partitions], left, statistics)
    return judgement.summary(manifest[0], failures, predictions="predictions.parquet", **given)
