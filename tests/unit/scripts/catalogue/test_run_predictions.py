import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from lambda_image.data.distributions import IN_CATALOGUES, NAMES
from lambda_image.errors import InvalidEvent
from scripts.catalogue.run_predictions import _places, read_predictions
from scripts.catalogue.run_source import PredictionsFileSource, ResultFolderSource
from tests.unit.scripts.catalogue.runs import FIRST_ID, predictions, quantiles, run_folder, write_distributions


def test_predictions_are_read_as_the_run_wrote_them(tmp_path: Path):
    table, notes = read_predictions(ResultFolderSource(run_folder(tmp_path / "out", predictions(7))))
    assert (table["objid"].to_pylist(), notes) == ([FIRST_ID + row for row in range(7)], [])
    assert table["redshift"].null_count == 2


def test_without_a_whole_table_those_of_the_ranks_follow_one_another(tmp_path: Path):
    out = run_folder(tmp_path / "out", predictions(2), predictions(3), together=False, ranks=3)
    table, notes = read_predictions(ResultFolderSource(out))
    assert table["row"].to_pylist() == [0, 1, 0, 1, 2]
    assert notes == ["1 rank of 3 has left no predictions, which are missing here"]


def test_a_whole_table_is_not_taken_for_that_of_all_galaxies_where_ranks_failed(tmp_path: Path):
    source = ResultFolderSource(run_folder(tmp_path / "out", predictions(2), predictions(3), ranks=3))
    for failed, said in (([], []), ([{"rank": 2}], ["1 rank of 3 failed, and predictions are missing here"])):
        (tmp_path / "out" / "summary.json").write_text(json.dumps({"world_size": 3, "failed_ranks": failed}))
        assert read_predictions(source)[1] == said


def test_a_rank_without_a_record_of_this_run_has_not_finished(tmp_path: Path):
    out = run_folder(tmp_path / "out", predictions(2), predictions(3), together=False)
    (out / "0.json").write_text(json.dumps({"execution": "another"}))
    table, _ = read_predictions(ResultFolderSource(out))
    assert len(table) == 3
    (out / "1.json").write_text(json.dumps({"execution": "arn:1", "rank": 1, "attempt": 0}))  # an attempt is at work
    with pytest.raises(InvalidEvent, match="no rank of the run has finished"):
        read_predictions(ResultFolderSource(out))
    (out / "1.json").unlink()
    with pytest.raises(InvalidEvent, match="no rank of the run has finished"):
        read_predictions(ResultFolderSource(out))


def test_ranks_whose_columns_differ_lose_no_digit(tmp_path: Path):
    numbers = predictions(2, {"objid": np.array([FIRST_ID, 1]), "small": np.array([1, 2], np.int16)})
    texts = predictions(1, {"objid": np.array([b"x"]), "name": np.array([b"N"])})
    table, _ = read_predictions(ResultFolderSource(run_folder(tmp_path / "out", numbers, texts, together=False)))
    assert table["objid"].to_pylist() == [str(FIRST_ID), "1", "x"]
    assert (table["small"].to_pylist(), table["name"].to_pylist()) == ([1, 2, None], [None, None, "N"])


@pytest.mark.parametrize("other", [np.array([1.5]), np.array([2**64 - 1], np.uint64), np.array([True])])
def test_ids_of_one_rank_are_not_rounded_by_another(tmp_path: Path, other: np.ndarray):
    parts = predictions(1), predictions(1, {"objid": other})
    table, _ = read_predictions(ResultFolderSource(run_folder(tmp_path / "out", *parts, together=False)))
    assert table["objid"].to_pylist()[0] == str(FIRST_ID)


def test_columns_can_be_chosen(tmp_path: Path):
    source = ResultFolderSource(run_folder(tmp_path / "out", predictions(2)))
    table, _ = read_predictions(source, lambda schema: [name for name in schema.names if name == "redshift"])
    assert table.column_names == ["redshift"]


def test_a_file_of_predictions_is_read_alone(tmp_path: Path):
    out = run_folder(tmp_path / "out", predictions(2))
    table, notes = read_predictions(PredictionsFileSource(out / "predictions" / "0.parquet"))
    assert (table.num_rows, notes) == (2, [])
    parquet.write_table(pa.table({"objid": [1]}), tmp_path / "mine.parquet")
    with pytest.raises(InvalidEvent, match=r"mine\.parquet holds no predictions: there is no column redshift"):
        read_predictions(PredictionsFileSource(tmp_path / "mine.parquet"))


def test_a_table_that_is_none_is_named(tmp_path: Path):
    out = run_folder(tmp_path / "out", predictions(2))
    (out / "predictions.parquet").write_bytes(b"PAR1")
    with pytest.raises(InvalidEvent, match=r"predictions\.parquet of .* is not a Parquet file"):
        read_predictions(ResultFolderSource(out))


@pytest.mark.parametrize("together", [True, False])
def test_each_galaxy_has_the_mode_and_the_bounds_of_its_own_distribution(tmp_path: Path, together: bool):
    parts = [predictions(count, source=f"data/{count}.pt") for count in (4, 5, 3)]
    source = ResultFolderSource(run_folder(tmp_path / "out", *parts, together=together))
    assert "z_mode" not in read_predictions(source)[0].column_names
    for rank in (2, 0):  # rank 1 has no calibration, and so each galaxy of it no mode
        write_distributions(source.folder, rank, parts[rank])
    table, _ = read_predictions(source)
    at = table.column_names.index("redshift") + 1
    assert table.column_names[at : at + 6] == ["z_mode", "q0.025", "q0.16", "q0.5", "q0.84", "q0.975"]
    known = [np.full(5, np.nan) if part is parts[1] else part.redshift + np.float32(0.05) for part in parts]
    assert table["z_mode"].to_numpy() == pytest.approx(np.concatenate(known), nan_ok=True)
    assert table["z_mode"].null_count == 5 + 1 + 1
    for name in IN_CATALOGUES:
        bounds = [np.full(5, np.nan) if part is parts[1] else quantiles(part)[:, NAMES.index(name)] for part in parts]
        np.testing.assert_array_equal(table[name].to_numpy(), np.concatenate(bounds))
    chosen, _ = read_predictions(source, lambda schema: ["redshift"])
    assert chosen["z_mode"].equals(table["z_mode"])


def test_galaxies_whose_partition_numbers_them_alike_have_distributions_of_their_own(tmp_path: Path):
    parts = [replace(predictions(count), row=np.array([7, 3, 7, 5, 7][:count])) for count in (5, 4)]
    source = ResultFolderSource(run_folder(tmp_path / "out", *parts))
    for rank, part in enumerate(parts):
        write_distributions(source.folder, rank, part)
    expected = np.concatenate([part.redshift + np.float32(0.05) for part in parts])
    np.testing.assert_array_equal(read_predictions(source)[0]["z_mode"].to_numpy(), expected)
    (source.folder / "quantiles" / "0.parquet").unlink()  # now row 7 has five predictions and two distributions
    assert read_predictions(source)[0]["z_mode"].null_count == 9


def test_more_text_than_one_array_can_hold_is_compared():
    one_key = pa.chunked_array([pa.array(["x" * 2**20])] * 1100)  # which is in memory once
    galaxies = pa.table({"source": one_key, "row": np.arange(1100)})
    assert _places(galaxies, galaxies).to_pylist() == list(range(1100))


def test_a_partition_that_is_read_twice_has_its_modes_twice(tmp_path: Path):
    part = predictions(4)
    source = ResultFolderSource(run_folder(tmp_path / "out", part, part))
    for rank in (0, 1):
        write_distributions(source.folder, rank, part)
    modes = read_predictions(source)[0]["z_mode"].to_pylist()
    assert len(modes) == 8
    assert modes[:4] == modes[4:]
    (source.folder / "quantiles" / "1.parquet").write_bytes(b"PAR1")
    with pytest.raises(InvalidEvent, match=r"quantiles/1.parquet of .*out is not a Parquet file"):
        read_predictions(source)


@pytest.mark.parametrize("column", ["row", "z_mode", "q0.5"])
def test_distributions_of_another_version_are_refused_in_one_line(tmp_path: Path, column: str):
    out, part = tmp_path / "out", predictions(5)
    run_folder(out, part)
    write_distributions(out, 0, part)
    file = out / "quantiles/0.parquet"
    parquet.write_table(parquet.read_table(file).drop([column]), file)
    with pytest.raises(InvalidEvent, match=rf"quantiles/0\.parquet of .* is not of this version: .*{column}") as caught:
        read_predictions(ResultFolderSource(out))
    assert "\n" not in str(caught.value)
