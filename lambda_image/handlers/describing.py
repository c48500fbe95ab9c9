"""The redshift distributions of a rank's galaxies, which go to S3 and never through the gather."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from lambda_image.data.distribution_parts import DistributionParts
from lambda_image.data.distribution_table import distributions_to_parquet
from lambda_image.data.predictions import Predictions
from lambda_image.manifest import Assignment, quantiles_key
from lambda_image.model.calibrated import CalibratedEngine
from lambda_image.model.protocols import Engine
from lambda_image.ownership import RunObjects


def write_distributions(
    engine: Engine, tables: Sequence[Predictions], objects: RunObjects, assignment: Assignment
) -> dict[str, Any] | None:
    """Writes `quantiles/<rank>.parquet`.

    A distribution follows from the predicted redshift and the magnitudes, which are in the table. Attempts of one rank
    therefore write the same, whichever of them has predicted a partition.

    Args:
        engine: has predicted.
        tables: all predictions of the rank.
        objects: the run's objects.
        assignment: the rank's item of the manifest.

    Returns:
        What the record says of them, or None where the engine has no calibration.

    Raises:
        RunError: they could not be written.
    """
    if not isinstance(engine, CalibratedEngine):
        return None
    started, cpu_started, parts = time.perf_counter(), time.process_time(), DistributionParts()
    described = [engine.describe(table.redshift, table.magnitudes) for table in tables]
    for table, found in zip(tables, described, strict=True):
        parts.add(found.quantiles, table.redshift_true)
    computed_s, cpu_s = time.perf_counter() - started, time.process_time() - cpu_started
    table = Predictions.concatenate(tables)
    modes, quantiles = (np.concatenate([getattr(one, name) for one in described]) for name in ("z_mode", "quantiles"))
    data, key = (
        distributions_to_parquet(table, modes, quantiles),
        quantiles_key(assignment.result_path, assignment.rank),
    )
    objects.put(key, data, within_run="replace")
    facts = {"key": key, "bytes": len(data), "computed_s": computed_s, "cpu_s": cpu_s}
    return {**facts, "parts": parts.to_json()}
