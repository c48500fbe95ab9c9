import io
import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet
import pytest

from lambda_image.data.distribution_parts import DistributionParts
from lambda_image.data.predictions import Predictions
from lambda_image.errors import RunSuperseded
from lambda_image.handlers.describing import write_distributions
from lambda_image.model.calibrated import CalibratedEngine
from lambda_image.results import RESULT_NAME
from tests.unit.lambda_image.handlers.rank_stage import RECORD, MeanMagnitude, Stage
from tests.unit.lambda_image.model.calibrations import calibration

QUANTILES = "r/quantiles/1.parquet"


def calibrated_engine() -> CalibratedEngine:
    return CalibratedEngine(MeanMagnitude(), calibration())


def tables() -> list[Predictions]:
    magnitudes = np.full((3, 5), 17.0)
    first = Predictions.of_partition("a", 0, magnitudes, np.array([0.1, 0.2, np.nan]), np.array([0.1, 0.9, 0.3]))
    return [first, Predictions.of_partition("b", 0, magnitudes[:1], np.array([0.3]), None)]


def test_distributions_lie_in_the_order_of_the_predictions():
    stage = Stage()
    found = write_distributions(calibrated_engine(), tables(), stage.objects(), stage.assignment)
    table = pyarrow.parquet.read_table(io.BytesIO(stage.s3.objects[QUANTILES]))
    assert list(zip(table["source"].to_pylist(), table["row"].to_pylist(), strict=True)) == [
        ("a", 0),
        ("a", 1),
        ("a", 2),
        ("b", 0),
    ]
    assert table["q0.5"].to_pylist() == [pytest.approx(0.1), pytest.approx(0.2), None, pytest.approx(0.3)]
    assert (found["key"], found["bytes"]) == (QUANTILES, len(stage.s3.objects[QUANTILES]))
    measures = DistributionParts.from_json(found["parts"]).measures()
    assert (measures["galaxies"], measures["with_truth"], measures["coverage_95"]) == (3, 2, 0.5)
    assert RESULT_NAME.fullmatch(QUANTILES.removeprefix("r/"))


def test_without_a_calibration_nothing_is_written():
    stage = Stage()
    assert write_distributions(MeanMagnitude(), tables(), stage.objects(), stage.assignment) is None
    assert QUANTILES not in stage.s3.objects


def test_a_rank_with_a_calibration_leaves_error_bars_and_distributions():
    stage = Stage()
    environment = stage.function.environment
    stage.function.environment = replace(environment, engine=calibrated_engine())
    stage.invoke()
    record, predictions = (
        json.loads(stage.s3.objects[RECORD]),
        Predictions.from_parquet(stage.s3.objects["r/predictions/1.parquet"]),
    )
    assert predictions.redshift_err is not None
    assert len(predictions) == pyarrow.parquet.read_table(io.BytesIO(stage.s3.objects[QUANTILES])).num_rows
    assert record["distributions"]["key"] == QUANTILES
    assert stage.s3.journal.index(QUANTILES) < stage.s3.journal.index("r/predictions/1.parquet")


def test_a_rank_without_one_says_so():
    stage = Stage()
    stage.invoke()
    assert json.loads(stage.s3.objects[RECORD])["distributions"] is None


def test_a_rank_of_an_earlier_run_leaves_no_distributions_beside_those_of_a_later_one():
    """It was frozen before each of its writes in turn. The later run has fewer ranks, none of which has its place."""
    for frozen_at in range(1, 6):
        stage = Stage()
        stage.function.environment = replace(stage.function.environment, engine=calibrated_engine())
        stage.lose_the_path(frozen_at)
        with pytest.raises(RunSuperseded):
            stage.invoke()
        assert stage.results().keys() == {"r/manifest.json"}, frozen_at
