import json
from pathlib import Path

import pytest

from lambda_image.errors import InvalidEvent
from scripts.catalogue.run_source import PredictionsFileSource, ResultFolderSource
from scripts.catalogue.run_tables import read_tables, run_tables
from tests.unit.scripts.catalogue.runs import predictions, run_folder


def rows(out: Path) -> list[int]:
    return [row for batch in read_tables(ResultFolderSource(out)) for row in batch["row"].to_pylist()]


def test_one_table_of_all_is_all(tmp_path: Path):
    out = run_folder(tmp_path / "out", predictions(2), predictions(3))
    assert run_tables(ResultFolderSource(out)) == (["predictions.parquet"], 0)
    assert run_tables(PredictionsFileSource(out / "predictions.parquet")) == (["predictions.parquet"], 0)
    assert rows(out) == [0, 1, 0, 1, 2]


def test_the_ranks_tables_are_the_same_rows_in_the_same_order(tmp_path: Path):
    out = run_folder(tmp_path / "out", predictions(2), predictions(3), together=False, ranks=3)
    assert run_tables(ResultFolderSource(out)) == (["predictions/0.parquet", "predictions/1.parquet"], 1)
    assert rows(out) == [0, 1, 0, 1, 2]


def test_of_a_run_that_has_ended_parts_of_failed_ranks_count_and_ranks_without_galaxies_are_not_missing(tmp_path: Path):
    out = run_folder(tmp_path / "out", predictions(2), predictions(3), predictions(0), together=False, ranks=4)
    (out / "0.json").unlink()  # it was killed, and Summarize put together what it had finished
    (out / "predictions/2.parquet").unlink()
    records = [{"rank": rank, "predictions": {"rows": count}} for rank, count in ((0, 2), (1, 3))]
    (out / "combined_data.json").write_text(json.dumps(records))
    assert run_tables(ResultFolderSource(out)) == (["predictions/0.parquet", "predictions/1.parquet"], 1)
    assert rows(out) == [0, 1, 0, 1, 2]


def test_a_damaged_table_is_named(tmp_path: Path):
    out = run_folder(tmp_path / "out", predictions(2), together=False)
    (out / "predictions/0.parquet").write_bytes(b"PAR1")
    with pytest.raises(InvalidEvent, match=r"predictions/0\.parquet of .* cannot be read"):
        rows(out)


def test_a_folder_without_predictions_has_no_tables(tmp_path: Path):
    out = run_folder(tmp_path / "out", ranks=2, together=False)
    assert run_tables(ResultFolderSource(out)) == ([], 2)
    assert rows(out) == []
