import io
from pathlib import Path

import pandas
import pytest

from scripts.sweep.tables import RANK_COLUMNS, RUN_COLUMNS, medians, rank_rows, run_rows, write_tables
from tests.unit.scripts.sweep.measured import measured, sweep


def test_medians_equal_those_of_pandas():
    runs = [measured(2, repeat=number, wall_s=wall, r2=0.8) for number, wall in enumerate((3.0, 9.0, 4.0), 1)]
    (row,) = medians(run_rows(runs))
    frame = pandas.DataFrame(run_rows(runs))
    for name in ("wall_s", "samples_per_s", "cost_usd", "inference_s", "seconds_per_batch", "peak_memory_mb"):
        assert row[name] == pytest.approx(frame[name].median())
    assert (row["wall_s_least"], row["wall_s_most"], row["runs"], row["failed"]) == (3.0, 9.0, 3, 0)


def test_runs_that_failed_count_and_say_why():
    rows = medians(run_rows(sweep()))
    assert [(row["world_size"], row["runs"], row["failed"]) for row in rows] == [
        (1, 2, 0),
        (2, 2, 0),
        (4, 2, 0),
        (8, 0, 1),
        (500, 0, 1),
    ]
    assert rows[-1]["reason"] == "one machine runs at most 128 ranks"
    assert rows[-1]["wall_s"] is None


def test_csv_and_parquet_hold_the_same(tmp_path: Path):
    written = write_tables(sweep(), tmp_path)
    assert [file.name for file in written] == ["runs.csv", "runs.parquet", "ranks.csv", "ranks.parquet"]
    for name, columns, rows in (("runs", RUN_COLUMNS, run_rows(sweep())), ("ranks", RANK_COLUMNS, rank_rows(sweep()))):
        parquet = pandas.read_parquet(tmp_path / f"{name}.parquet")
        read = pandas.read_csv(io.StringIO((tmp_path / f"{name}.csv").read_text()))
        assert tuple(parquet.columns) == tuple(read.columns) == columns
        assert len(parquet) == len(read) == len(rows)
        assert parquet["world_size"].tolist() == read["world_size"].tolist()
    assert pandas.read_parquet(tmp_path / "runs.parquet")["status"].tolist()[-2:] == ["failed", "not run"]
