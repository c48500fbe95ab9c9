import numpy as np
import pytest

from lambda_image.inference import infer
from lambda_image.partition import open_partition, write_partition
from lambda_image.results import Work


class SumOfMagnitudes:
    """An engine whose answers tell which rows it was given."""

    device, parameters_mb = "cpu", 0.0

    def __init__(self) -> None:
        self.batches: list[int] = []

    def predict(self, images, magnitudes):
        self.batches.append(len(images))
        return magnitudes.sum(axis=1) + images[:, 0, 0, 0]


@pytest.fixture
def dataset(tmp_path):
    rng = np.random.default_rng(0)
    images, magnitudes = rng.random((7, 5, 32, 32), np.float32), rng.random((7, 5), np.float32)
    write_partition(tmp_path / "1.safetensors", images, magnitudes, magnitudes[:, 0])
    return tmp_path / "1.safetensors", magnitudes.sum(axis=1) + images[:, 0, 0, 0], magnitudes


@pytest.mark.parametrize(("batch_size", "batches"), [(3, [3, 3, 1]), (7, [7]), (100, [7]), (1, [1] * 7)])
def test_every_row_is_predicted_in_order_whatever_the_batch_size(dataset, batch_size, batches):
    path, expected, magnitudes = dataset
    engine, work, seen = SumOfMagnitudes(), Work(), []
    table = infer(open_partition(path), "d/1", engine, batch_size, work, lambda w: seen.append(w.samples))
    np.testing.assert_allclose(table.redshift, expected, rtol=1e-6)
    np.testing.assert_array_equal(table.redshift_true, magnitudes[:, 0])
    assert engine.batches == batches
    assert seen == np.cumsum(batches).tolist()
    assert (work.samples, work.batches) == (7, len(batches))
    assert work.bits == 8 * 7 * (5 * 32 * 32 + 5) * 4
    assert (set(table.source), table.row.tolist()) == ({"d/1"}, list(range(7)))


def test_rows_keep_their_numbers_in_the_partition(dataset):
    path, expected, _ = dataset
    table = infer(open_partition(path, rows=(2, 5)), "d/1", SumOfMagnitudes(), 2, Work(), lambda w: None)
    assert table.row.tolist() == [2, 3, 4]
    np.testing.assert_allclose(table.redshift, expected[2:5], rtol=1e-6)
