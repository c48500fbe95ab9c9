from dataclasses import replace

import numpy as np
import pytest

from lambda_image.data.predictions import Predictions
from lambda_image.metrics import accuracy
from lambda_image.rank_table import TRAVELS_BYTES, RankTable, travelling_bytes
from lambda_image.results import digest
from tests.unit.lambda_image.test_results import manifest


def table(name: str, rows: int, **columns: np.ndarray) -> Predictions:
    z = np.linspace(0.1, 0.2, rows)
    return Predictions.of_partition(name, 0, np.zeros((rows, 5)), z + 0.01, z, columns=columns)


def test_partitions_are_put_together_as_if_they_were_one_table():
    parts = [
        table("d/1", 0),
        table("d/2", 3, id=np.arange(3)),
        table("d/3", 2),
        table("d/4", 2, id=np.array([b"a", b"b"])),
    ]
    whole, found = Predictions.concatenate(parts), RankTable.of(parts)
    assert found.content == whole.to_parquet()
    assert found.shape.names() == whole.shape().names()
    assert found.statistics.accuracy.accuracy().bias == accuracy(whole.redshift, whole.redshift_true).bias
    facts = found.facts("r/predictions/1.parquet")
    assert (facts["rows"], facts["bytes"], facts["blake2b"]) == (7, len(found.content), digest(found.content))


def test_a_rank_without_galaxies_has_a_table_too():
    found = RankTable.of([table("", 0)])
    assert (found.shape.rows, len(Predictions.from_parquet(found.content))) == (0, 0)


@pytest.mark.parametrize(
    ("world_size", "gather_limit", "memory_mb", "expected"),
    [
        (4, 400, 1024, 100),
        (7, 400, 1024, 57),  # of which seven still fit
        (4, 0, 1024, 0),
        (2, 1 << 30, 8, 1 << 20),  # a quarter of the memory for both
        (2, 1 << 30, 10_240, TRAVELS_BYTES),
    ],
)
def test_tables_travel_as_far_as_those_of_all_ranks_fit(
    world_size: int, gather_limit: int, memory_mb: int, expected: int
):
    item = replace(manifest(world_size)[0], gather_limit=gather_limit)
    assert travelling_bytes(item, memory_mb) == expected
