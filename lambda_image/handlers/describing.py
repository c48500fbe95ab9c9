"""The redshift distributions of a rank's galaxies, which go to S3 and never through the gather."""

import time
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lambda_image.data.distribution_parts import DistributionParts
from lambda_image.data.distribution_table import write_distributions_table
from lambda_image.data.distributions import Quantiles
from lambda_image.data.predictions import Predictions
from lambda_image.manifest import Assignment, quantiles_key
from lambda_image.model.calibrated import CalibratedEngine
from lambda_image.model.protocols import Engine
from lambda_image.ownership import RunObjects


def write_distributions(
    engine: Engine, tables: Iterable[Predictions], objects: RunObjects, assignment: Assignment
) -> dict[str, Any] | None:
    """Writes `quantiles/<rank>.parquet`, of which a few tables are in memory.

    A distribution follows from the predicted redshift and the magnitudes, which are in the table. Attempts of one rank
    therefore write the same, whichever of them has predicted a partition.

    Args:
        engine: has predicted.
        tables: all predictions of the rank, in pieces that are the same in each attempt.
        objects: the run's objects.
        assignment: the rank's item of the manifest.

    Returns:
        What the record says of them, or None where the engine has no calibration.

    Raises:
        RunError: they could not be written.
    """
    if not isinstance(engine, CalibratedEngine):
        return None
    calibrated, parts = engine, DistributionParts()
    computed_s = cpu_s = 0.0

    def described() -> Iterator[tuple[Predictions, NDArray[np.float32], Quantiles]]:
        nonlocal computed_s, cpu_s
        for table in tables:
            started, cpu_started = time.perf_counter(), time.process_time()
            found = calibrated.describe(table.redshift, table.magnitudes)
            parts.add(found.quantiles, table.redshift_true)
            computed_s += time.perf_counter() - started
            cpu_s += time.process_time() - cpu_started
            yield table, found.z_mode, found.quantiles

    key = quantiles_key(assignment.result_path, assignment.rank)
    with objects.begin(key) as upload:
        write_distributions_table(upload, described())
        objects.put(key, upload, within_run="replace")
    facts = {"key": key, "bytes": upload.size, "computed_s": computed_s, "cpu_s": cpu_s}
    return {**facts, "parts": parts.to_json()}
