import io

import numpy as np
import pyarrow.parquet
import pytest

from lambda_image.data.distribution_table import distributions_to_parquet
from lambda_image.data.distributions import NAMES, SCORES
from lambda_image.data.predictions import Predictions


def test_the_table_has_a_row_for_each_prediction():
    table = Predictions.of_partition("p", 7, np.zeros((3, 5)), np.array([0.1, np.nan, 0.2]), None)
    quantiles = (0.3 + 0.02 * np.tile(SCORES, (3, 1))).astype(np.float32)
    quantiles[1] = np.nan
    data = distributions_to_parquet(table, np.array([0.1, np.nan, 0.2], np.float32), quantiles)
    found = pyarrow.parquet.read_table(io.BytesIO(data))
    assert found.column_names == ["source", "row", "z_mode", *NAMES]
    assert found["row"].to_pylist() == [7, 8, 9]
    assert found["q0.5"].to_pylist() == [pytest.approx(0.3), None, pytest.approx(0.3)]
    assert {found[name].type for name in ("z_mode", *NAMES)} == {pyarrow.float32()}
