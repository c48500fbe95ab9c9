import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pyarrow import parquet

from lambda_image.data.predictions import Predictions
from lambda_image.errors import RunError, StorageUnavailable
from lambda_image.handlers import run_tables
from lambda_image.handlers.run_tables import DamagedTablesError, RunTables
from lambda_image.manifest import predictions_key
from lambda_image.ownership import RunObjects
from lambda_image.storage import BlockReader, ObjectStore
from tests.unit.lambda_image.handlers.fake_s3 import FakeS3
from tests.unit.lambda_image.handlers.test_combining import table
from tests.unit.lambda_image.test_results import manifest

ITEM = replace(manifest(3)[0], result_path="r")


TABLES = [table(0, 4), table(1, 4, id=np.arange(4)), table(2, 0), table(3, 4, id=np.arange(4))]


class Run:
    """The tables of four ranks in a bucket."""

    def __init__(self, limit: int = 12) -> None:
        self.s3, self.limit = FakeS3(), limit
        self.objects = RunObjects(ObjectStore("b", client=self.s3), ITEM.execution, "r")  # type: ignore[arg-type]
        for rank, one in enumerate(TABLES):
            self.objects.put(predictions_key("r", rank), one.content, within_run="keep")

    def publish(self) -> str:
        tables = RunTables(self.objects)
        for rank, one in enumerate(TABLES):
            tables.add({"rank": rank, "predictions": one.facts(predictions_key("r", rank))})
        return tables.publish(self.limit)

    def read(self, name: str) -> Predictions:
        return Predictions.from_parquet(self.s3.objects[f"r/{name}"])


def test_up_to_the_limit_there_is_one_table_which_is_made_once():
    run = Run()
    assert run.publish() == "predictions.parquet"
    assert run.read("predictions.parquet").source.tolist() == ["d/0"] * 4 + ["d/1"] * 4 + ["d/3"] * 4
    before = run.objects.store.requests.puts
    assert run.publish() == "predictions.parquet"
    assert run.objects.store.requests.puts == before


def test_a_table_of_another_run_or_of_other_tables_is_replaced():
    run = Run()
    run.s3.objects["r/predictions.parquet"] = b"what was there"
    run.publish()
    assert len(run.read("predictions.parquet")) == 12


def test_above_the_limit_the_folder_is_the_table_and_all_files_in_it_are_alike():
    run = Run(limit=11)
    untouched = run.s3.objects["r/predictions/1.parquet"]
    assert run.publish() == "predictions/"
    assert sorted(run.s3.objects) == [f"r/predictions/{rank}.parquet" for rank in range(4)]
    assert run.s3.objects["r/predictions/1.parquet"] == untouched
    files = [parquet.ParquetFile(io.BytesIO(run.s3.objects[f"r/predictions/{rank}.parquet"])) for rank in range(4)]
    assert len({str(file.schema_arrow.remove_metadata()) for file in files}) == 1
    assert [file.metadata.num_rows for file in files] == [4, 4, 0, 4]
    assert run.read("predictions/0.parquet").columns["id"].mask.all()
    after = dict(run.s3.objects)
    assert run.publish() == "predictions/"  # as a Summarize that is tried again
    assert run.s3.objects == after


def test_one_that_is_overtaken_by_another_after_it_has_listed_the_tables_loses_none() -> None:
    """As where Lambda delivers an invocation of Summarize twice."""
    run = Run(limit=11)
    lists = run.s3.list_objects_v2

    def be_overtaken(**wanted: Any) -> dict[str, Any]:
        found, run.s3.list_objects_v2 = lists(**wanted), lists  # type: ignore[method-assign]
        assert run.publish() == "predictions/"
        return found

    run.s3.list_objects_v2 = be_overtaken  # type: ignore[method-assign]
    assert run.publish() == "predictions/"


@pytest.mark.parametrize("limit", [12, 11])
def test_large_tables_are_put_together_as_small_ones_are(limit: int, monkeypatch: pytest.MonkeyPatch):
    small, large = Run(limit), Run(limit)
    small.publish()
    monkeypatch.setattr(run_tables, "IN_MEMORY_BYTES", 100)
    large.publish()
    assert large.s3.objects == small.s3.objects
    assert large.objects.store.requests.gets > small.objects.store.requests.gets


def test_a_large_table_that_is_damaged_or_goes_while_it_is_read_is_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(run_tables, "IN_MEMORY_BYTES", 100)
    run = Run()
    run.s3.objects[predictions_key("r", 1)] = bytes(1000)
    with pytest.raises(DamagedTablesError):
        run.publish()
    run, opened = Run(), run_tables.open_table

    def removed(*given: Any) -> Any:
        del run.s3.objects[predictions_key("r", 0)]
        return opened(*given)

    monkeypatch.setattr(run_tables, "open_table", removed)
    with pytest.raises(RunError):
        run.publish()
    assert "r/predictions.parquet" not in run.s3.objects


def test_an_s3_that_is_lost_while_a_large_table_is_read_is_no_damage(monkeypatch: pytest.MonkeyPatch):
    """Summarize is then tried again, while a table that is none would be put together anew."""
    monkeypatch.setattr(run_tables, "IN_MEMORY_BYTES", 100)
    run, opened = Run(), run_tables.open_table

    def lost(*given: Any) -> Any:
        reader = opened(*given)
        assert isinstance(reader, BlockReader)

        def read(*_: object) -> bytes:
            raise StorageUnavailable("the body broke off")

        monkeypatch.setattr(reader._reader, "read", read)
        return reader

    monkeypatch.setattr(run_tables, "open_table", lost)
    with pytest.raises(StorageUnavailable, match="the body broke off"):
        run.publish()
    assert not run.s3.uploads


@pytest.mark.parametrize("limit", [12, 11])
@pytest.mark.parametrize("lost", [(1,), (0, 3)])
def test_all_damaged_tables_are_found_at_once_and_nothing_is_made_of_the_others(limit: int, lost: tuple[int, ...]):
    run = Run(limit)
    for rank in lost:
        run.s3.objects[predictions_key("r", rank)] = b"not it"
    with pytest.raises(DamagedTablesError) as caught:
        run.publish()
    assert tuple(caught.value.damaged) == lost
    assert "r/predictions.parquet" not in run.s3.objects
    assert not run.s3.uploads


def open_as_one(folder) -> dict[str, list]:
    import duckdb
    import pandas
    import polars
    import pyarrow.dataset

    by_pandas = pandas.read_parquet(folder).sort_values(["source", "row"])
    by_polars = polars.read_parquet(f"{folder}/*.parquet").sort("source", "row")
    by_duckdb = duckdb.sql(f"select * from '{folder}/*.parquet' order by source, row").df()
    by_arrow = pyarrow.dataset.dataset(folder).to_table().sort_by([("source", "ascending"), ("row", "ascending")])
    return {
        "pandas": by_pandas["id"].dropna().astype(int).tolist(),
        "polars": by_polars["id"].drop_nulls().to_list(),
        "duckdb": by_duckdb["id"].dropna().astype(int).tolist(),
        "arrow": [one for one in by_arrow["id"].to_pylist() if one is not None],
    }


def published(folder) -> None:
    run = Run(limit=0)
    run.publish()
    for key, content in run.s3.objects.items():
        (folder / key.rpartition("/")[2]).write_bytes(content)


def test_the_folder_opens_as_one_table_in_what_people_use(tmp_path):
    published(tmp_path)
    for tool, found in open_as_one(tmp_path).items():
        assert found == [0, 1, 2, 3, 0, 1, 2, 3], tool
