"""What a report tells of one run, read from the folder of its results."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lambda_image.data.predictions import Predictions
from lambda_image.errors import InvalidEvent
from scripts.catalogue.run_source import ResultSource, read_json
from scripts.catalogue.run_tables import read_tables

IN_SUMMARY = (
    *("run_id", "status", "world_size", "samples", "partitions", "partitions_completed", "ranks_completed"),
    *("failed_ranks", "warnings", "transports", "wall_s", "samples_per_s", "bits_per_s", "cost", "cost_usd", "rows"),
    *("samples_with_truth", "without_truth", "without_prediction"),
)
IN_RECORD = ("rank", "attempt", "samples", "transport", "engine", "error", "sample_persec", "phases", "memory_size_mb")
FLAGGED_ROWS = 1000  # of the table of flagged galaxies; the counts are of all


@dataclass(frozen=True)
class FlaggedRow:
    """A galaxy with a flag."""

    source: str
    row: int
    quality: int


@dataclass(frozen=True)
class RunFacts:
    """Holds what a run left behind.

    Attributes:
        place: Where the results lie, for messages.
        summary: The content of `summary.json`.
        records: The content of `combined_data.json`, in the order of the ranks.
        redshift: Float32 [N], predicted, NaN where a galaxy has no prediction.
        redshift_true: Float32 [N], NaN where it is unknown.
        flagged: The first galaxies that carry a flag.
        missing: What the folder lacks, in words.
    """

    place: str
    summary: Mapping[str, Any]
    records: Sequence[Mapping[str, Any]]
    redshift: NDArray[np.float32]
    redshift_true: NDArray[np.float32]
    flagged: Sequence[FlaggedRow] = ()
    missing: Sequence[str] = field(default_factory=list)


def read_run(source: ResultSource) -> RunFacts:
    """Reads the results of a run.

    Args:
        source: Where they lie.

    Returns:
        What the run left. Predictions that are not there are named in `missing`.

    Raises:
        InvalidEvent: There is no summary, or an object is damaged.
    """
    summary, records = read_json(source, "summary.json"), read_json(source, "combined_data.json")
    if not isinstance(summary, dict) or not isinstance(records, list):
        which = "summary.json" if not isinstance(summary, dict) else "combined_data.json"
        raise InvalidEvent(f"{source.place} holds no {which}, which a run writes at its end: name another run")
    for content, name, needed in [
        (summary, "summary.json", IN_SUMMARY),
        *((r, "combined_data.json", IN_RECORD) for r in records),
    ]:
        if lacking := [key for key in needed if key not in content]:
            what = f"{name} of {source.place} lacks {', '.join(lacking)}, as of another version"
            raise InvalidEvent(f"{what}: repeat the run, or use the version that wrote it")
    nothing = np.empty(0, np.float32)
    redshift, redshift_true = [nothing], [nothing]
    flagged: list[FlaggedRow] = []
    for batch in read_tables(source):
        try:
            table = Predictions.from_batch(batch)
        except Exception as error:
            raise InvalidEvent(f"the predictions of {source.place} cannot be read: {error}") from error
        redshift.append(table.redshift)
        redshift_true.append(table.redshift_true)
        rows = np.flatnonzero(table.quality)[: FLAGGED_ROWS - len(flagged)]
        flagged += [FlaggedRow(str(table.source[i]), int(table.row[i]), int(table.quality[i])) for i in rows]
    missing = []
    if len(redshift) == 1:
        missing.append(f"{source.place} holds no predictions, so the accuracy is not drawn.")
    return RunFacts(
        source.place,
        summary,
        sorted(records, key=lambda record: record["rank"]),
        np.concatenate(redshift),
        np.concatenate(redshift_true),
        flagged,
        missing,
    )
