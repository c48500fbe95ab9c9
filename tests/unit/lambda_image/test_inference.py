import io
import threading
from contextlib import contextmanager

import numpy as np
import pytest
from arro3.io import read_parquet

from lambda_image.data.partition import open_partition, read_partition, write_partition
from lambda_image.data.predictions import Predictions
from lambda_image.data.quality import Quality
from lambda_image.data.safetensors_format import write_safetensors
from lambda_image.data.sizes import PUBLISHED, Sizes
from lambda_image.errors import PartitionMalformed, PartitionMissing
from lambda_image.inference import infer, no_predictions
from lambda_image.results import Work
from scripts.galaxies import Mixture, render

PATIENCE_S = 30.0


class SumOfMagnitudes:
    """An engine whose answers tell which rows it was given. It answers once `may_answer` is set."""

    device, parameters_mb, sizes = "cpu", 0.0, PUBLISHED

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.may_answer = threading.Event()
        self.may_answer.set()

    def predict(self, images, magnitudes):
        assert self.may_answer.wait(PATIENCE_S)
        self.batches.append(len(images))
        return answers(images, magnitudes)


def answers(images, magnitudes):
    return (magnitudes.sum(axis=1) + images[:, 0, 0, 0]) / 100  # which may be redshifts


@pytest.fixture
def dataset(tmp_path):
    rng = np.random.default_rng(0)
    images, magnitudes = rng.random((7, 5, 32, 32), np.float32), rng.random((7, 5), np.float32)
    write_partition(tmp_path / "1.safetensors", images, magnitudes, magnitudes[:, 0])
    return tmp_path / "1.safetensors", answers(images, magnitudes), magnitudes


def opening(path, rows=None, opened=None, closed=None):
    @contextmanager
    def open_it():
        if opened is not None:
            opened()
        yield open_partition(path, rows=rows)
        if closed is not None:
            closed()

    return open_it


@pytest.mark.parametrize(("batch_size", "batches"), [(3, [3, 3, 1]), (7, [7]), (100, [7]), (1, [1] * 7)])
def test_every_row_is_predicted_in_order_whatever_the_batch_size(dataset, batch_size, batches):
    path, expected, magnitudes = dataset
    engine, work, seen = SumOfMagnitudes(), Work(), []
    (table,) = infer([("d/1", opening(path))], engine, batch_size, work, lambda w: seen.append(w.samples))
    np.testing.assert_allclose(table.redshift, expected, rtol=1e-6)
    np.testing.assert_array_equal(table.redshift_true, magnitudes[:, 0])
    assert engine.batches == batches
    assert seen == np.cumsum(batches).tolist()
    assert (work.samples, work.batches) == (7, len(batches))
    assert work.bits == 8 * 7 * (5 * 32 * 32 + 5) * 4
    assert (set(table.source), table.row.tolist()) == ({"d/1"}, list(range(7)))


def test_galaxies_of_other_sizes_reach_the_engine_and_the_table(tmp_path):
    sizes = Sizes(3, 8, 0)
    images = np.random.default_rng(4).random((5, *sizes.image), np.float32)
    write_partition(tmp_path / "1", images, np.empty((5, 0), np.float32))
    partitions = [("d/1", opening(tmp_path / "1")), ("d/2", opening(tmp_path / "1", (2, 2)))]
    table, nothing = infer(partitions, SumOfMagnitudes(), 2, Work(), lambda w: None)
    np.testing.assert_array_equal(table.redshift, answers(images, np.empty((5, 0), np.float32)))
    assert (table.magnitudes.shape, nothing.magnitudes.shape) == ((5, 0), (0, 0))


class Uncertain(SumOfMagnitudes):
    """Is as uncertain as its answer, and of the third row of a batch not a number."""

    def predict_with_errors(self, images, magnitudes):
        redshifts = self.predict(images, magnitudes)
        return redshifts, np.where(np.arange(len(redshifts)) == 2, np.inf, redshifts / 10)


def test_uncertainties_of_the_engine_reach_the_table(dataset):
    path, expected, _ = dataset
    (table,) = infer([("d/1", opening(path))], Uncertain(), 4, Work(), lambda w: None)
    np.testing.assert_allclose(table.redshift, expected, rtol=1e-6)
    np.testing.assert_allclose(table.redshift_err, np.where(np.arange(7) % 4 == 2, np.nan, expected / 10), rtol=1e-6)


def test_a_rank_without_galaxies_has_the_columns_of_the_others():
    class Other(Uncertain):
        sizes = Sizes(2, 4, 3)

    for engine, columns in (
        (SumOfMagnitudes(), ["mag_z", "redshift"]),
        (Other(), ["mag_3", "redshift", "redshift_err"]),
    ):
        table = Predictions.concatenate([no_predictions(engine)]).to_parquet()
        names = read_parquet(io.BytesIO(table)).read_all().column_names
        first = names.index(columns[0])
        assert names[first:] == [*columns, "redshift_true", "quality"]


def test_a_row_without_a_prediction_has_no_uncertainty(dataset, tmp_path):
    part = read_partition(dataset[0])
    part.images[1] = np.nan
    write_partition(tmp_path / "bad", part.images, part.magnitudes)
    (table,) = infer([("d/1", opening(tmp_path / "bad"))], Uncertain(), 7, Work(), lambda w: None)
    assert np.isnan(table.redshift).nonzero()[0].tolist() == [1]
    assert np.isnan(table.redshift_err).nonzero()[0].tolist() == [1, 2]
    (skipped,) = infer([("d/1", opening(tmp_path / "bad"))], Uncertain(), 7, Work(), lambda w: None, "skip")
    assert len(skipped.redshift_err) == 6


def test_rows_keep_their_numbers_in_the_partition(dataset):
    path, expected, _ = dataset
    partitions = [("d/1", opening(path, (2, 5))), ("d/2", opening(path, (3, 3))), ("d/3", opening(path, (6, 7)))]
    tables = list(infer(partitions, SumOfMagnitudes(), 2, Work(), lambda w: None))
    assert [table.row.tolist() for table in tables] == [[2, 3, 4], [], [6]]
    assert [set(table.source) for table in tables] == [{"d/1"}, set(), {"d/3"}]
    np.testing.assert_allclose(np.concatenate([table.redshift for table in tables]), expected[[2, 3, 4, 6]], rtol=1e-6)


def test_a_partition_without_galaxies_is_noted_and_one_without_rows_for_this_rank_is_not(dataset, tmp_path):
    nothing = {"images": np.empty((0, 5, 32, 32), np.float32), "magnitudes": np.empty((0, 5), np.float32)}
    write_safetensors(tmp_path / "empty", nothing)
    partitions = [
        ("d/1", opening(dataset[0], (3, 3))),
        ("d/2", opening(tmp_path / "empty")),
        ("d/3", opening(dataset[0])),
    ]
    work = Work()
    tables = list(infer(partitions, SumOfMagnitudes(), 2, work, lambda w: None))
    assert [len(table) for table in tables] == [0, 0, 7]
    assert work.empty_partitions == ["d/2"]


def test_the_next_partition_is_read_while_one_is_inferred(dataset):
    engine, closed = SumOfMagnitudes(), []
    engine.may_answer.clear()  # until the second partition is open: only reading ahead can get there
    partitions = [
        ("d/1", opening(dataset[0], closed=lambda: closed.append("d/1"))),
        ("d/2", opening(dataset[0], opened=engine.may_answer.set)),
    ]
    tables = list(infer(partitions, engine, 100, Work(), lambda w: None))
    assert [len(table) for table in tables] == [7, 7]
    assert closed == ["d/1"]


def test_what_was_predicted_before_a_bad_partition_is_not_lost(dataset):
    partitions = [("d/1", opening(dataset[0])), ("d/2", opening("/no/such/file"))]
    tables = infer(partitions, SumOfMagnitudes(), 2, Work(), lambda w: None)
    assert len(next(tables)) == 7
    with pytest.raises(PartitionMissing):
        next(tables)


# --- rows that cannot be judged

SPOILED = {
    "a pixel that is NaN": ("images", np.nan, Quality.IMAGE_NOT_FINITE),
    "a pixel that is infinite": ("images", -np.inf, Quality.IMAGE_NOT_FINITE),
    "a pixel of -9999": ("images", -9999, Quality.IMAGE_IMPLAUSIBLE),
    "a pixel of 1.6e38": ("images", 1.6e38, Quality.IMAGE_IMPLAUSIBLE),
    "a magnitude that is NaN": ("magnitudes", np.nan, Quality.MAGNITUDE_BAD),
    "a magnitude of -9999": ("magnitudes", -9999, Quality.MAGNITUDE_BAD),
    "a magnitude of 99": ("magnitudes", 99, Quality.MAGNITUDE_BAD | Quality.NOT_DETECTED),
}
ROWS = 12


@pytest.fixture(scope="module")
def galaxies():
    rng = np.random.default_rng(1)
    magnitudes, redshifts = Mixture.shipped().draw(ROWS, rng)
    return {"images": render(magnitudes, rng), "magnitudes": magnitudes, "redshifts": redshifts}


def inferred(path, work=None, batch_size=5, **given):
    (table,) = infer([("d/1", opening(path))], SumOfMagnitudes(), batch_size, work or Work(), lambda w: None, **given)
    return table


@pytest.mark.parametrize("spoiled", SPOILED)
@pytest.mark.parametrize("row", [0, 4, 5, ROWS - 1])
def test_a_row_that_cannot_be_judged_has_no_prediction_and_changes_no_other(galaxies, tmp_path, spoiled, row):
    write_partition(tmp_path / "clean.safetensors", **galaxies)
    clean = inferred(tmp_path / "clean.safetensors")
    assert not clean.quality.any()
    name, value, flag = SPOILED[spoiled]
    changed = {**galaxies, name: galaxies[name].copy()}
    changed[name][row].flat[-1] = value
    write_partition(tmp_path / "bad.safetensors", **changed)
    work = Work()
    table = inferred(tmp_path / "bad.safetensors", work)
    assert np.isnan(table.redshift[row])
    assert table.quality[row] == flag
    others = np.arange(ROWS) != row
    np.testing.assert_array_equal(table.redshift[others], clean.redshift[others])
    assert not table.quality[others].any()
    assert (work.quality.given, work.quality.predicted, work.quality.flagged) == (ROWS, ROWS - 1, 1)

    work = Work()
    skipped = inferred(tmp_path / "bad.safetensors", work, on_bad_row="skip")
    np.testing.assert_array_equal(skipped.row, np.flatnonzero(others))
    np.testing.assert_array_equal(skipped.redshift, clean.redshift[others])
    assert (work.quality.given, work.quality.predicted, work.quality.skipped) == (ROWS, ROWS - 1, 1)

    with pytest.raises(PartitionMalformed, match=f"row {row} cannot be judged, as .*on_bad_row"):
        inferred(tmp_path / "bad.safetensors", on_bad_row="fail")


@pytest.mark.parametrize("value", [np.nan, -1, -9999, 99])
def test_a_placeholder_is_no_true_redshift(galaxies, tmp_path, value):
    changed = {**galaxies, "redshifts": galaxies["redshifts"].copy()}
    changed["redshifts"][3] = value
    write_partition(tmp_path / "1.safetensors", **changed)
    table = inferred(tmp_path / "1.safetensors")
    assert np.isnan(table.redshift_true[3])
    assert np.isfinite(table.redshift).all()
    assert table.quality[3] == Quality.REDSHIFT_UNKNOWN
    assert np.count_nonzero(table.quality) == 1


def test_an_answer_that_is_no_redshift_is_flagged_and_kept(galaxies, tmp_path):
    write_partition(tmp_path / "1.safetensors", **galaxies)

    class Odd(SumOfMagnitudes):
        def predict(self, images, magnitudes):
            answers = super().predict(images, magnitudes)
            answers[1:4] = -0.3, 25, -0.05
            return answers

    (table,) = infer([("d/1", opening(tmp_path / "1.safetensors"))], Odd(), ROWS, Work(), lambda w: None)
    np.testing.assert_array_equal(table.redshift[1:4], np.float32([-0.3, 25, -0.05]))
    np.testing.assert_array_equal(np.flatnonzero(table.quality == Quality.PREDICTION_IMPLAUSIBLE), [1, 2])


def test_an_answer_that_is_not_finite_is_none(galaxies, tmp_path):
    write_partition(tmp_path / "1.safetensors", **galaxies)

    class Overflowing(SumOfMagnitudes):
        def predict(self, images, magnitudes):
            answers = super().predict(images, magnitudes)
            answers[1] = np.inf
            return answers

    (table,) = infer([("d/1", opening(tmp_path / "1.safetensors"))], Overflowing(), ROWS, Work(), lambda w: None)
    assert np.isnan(table.redshift[1])
    assert table.quality[1] == Quality.PREDICTION_NOT_FINITE
    assert np.isfinite(np.delete(table.redshift, 1)).all()
