import io

import numpy as np
import pyarrow.parquet
import pytest

from lambda_image.data.distribution_table import write_distributions_table
from lambda_image.data.distributions import NAMES, SCORES
from lambda_image.data.predictions import Predictions


def test_the_table_has_a_row_for_each_prediction():
    table = Predictions.of_partition("p", 7, np.zeros((3, 5)), np.array([0.1, np.nan, 0.2]), None)
    quantiles = (0.3 + 0.02 * np.tile(SCORES, (3, 1))).astype(np.float32)
    quantiles[1] = np.nan
    modes, file = np.array([0.1, np.nan, 0.2], np.float32), io.BytesIO()
    write_distributions_table(
        file, [(table.rows(0, 1), modes[:1], quantiles[:1]), (table.rows(1, 3), modes[1:], quantiles[1:])]
    )
    found = pyarrow.parquet.read_table(file)
    assert found.column_names == ["source", "row", "z_mode", *NAMES]
    assert found["row"].to_pylist() == [7, 8, 9]
    assert found["q0.5"].to_pylist() == [pytest.approx(0.3), None, pytest.approx(0.3)]
    assert {found[name].type for name in ("z_mode", *NAMES)} == {pyarrow.float32()}


def test_it_is_compressed_and_names_of_partitions_are_in_a_dictionary():
    table = Predictions.of_partition("a long name of a partition", 0, np.zeros((5, 5)), np.zeros(5), None)
    file = io.BytesIO()
    write_distributions_table(file, [(table, np.zeros(5), np.zeros((5, len(NAMES)), np.float32))])
    columns = pyarrow.parquet.ParquetFile(file).metadata.row_group(0)
    source, first = columns.column(0), columns.column(3)
    assert ("RLE_DICTIONARY" in source.encodings, "RLE_DICTIONARY" in first.encodings) == (True, False)
    assert {source.compression, first.compression} == {"ZSTD"}


def test_a_rank_without_galaxies_has_the_same_columns():
    file = io.BytesIO()
    write_distributions_table(file, [])
    found = pyarrow.parquet.read_table(file)
    assert (found.num_rows, found.column_names) == (0, ["source", "row", "z_mode", *NAMES])
