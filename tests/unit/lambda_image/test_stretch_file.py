import json

import numpy as np
import pytest

from lambda_image.data.predictions import Predictions
from lambda_image.data.table_file import TableError, read_metadata
from lambda_image.data.tally import RowTally
from lambda_image.results import Work
from lambda_image.stretch_file import METADATA, Finished, decode, encode


def part(place: int, rows: int = 3, redshift: float = 0.5) -> Finished:
    z = np.full(rows, redshift)
    columns = {"objid": np.arange(rows, dtype=np.int64) + 10 * place}
    table = Predictions.of_partition(f"d/{place}.pt", 0, np.zeros((rows, 5)), z, z, columns=columns)
    return Finished(table, Work(rows, 1, 8 * rows, quality=RowTally(rows, rows)))


def test_a_stretch_tells_its_partitions_apart():
    kept = decode(encode({1: part(1, 3), 4: part(4, 0), 0: part(0, 2)}, "run-1", {"attempt": 7}), "run-1")
    assert kept is not None
    assert {place: len(one.table) for place, one in kept.finished.items()} == {1: 3, 4: 0, 0: 2}
    assert kept.finished[1].table.source.tolist() == ["d/1.pt"] * 3
    assert kept.finished[0].table.columns["objid"].tolist() == [0, 1]
    assert (kept.finished[1].work, kept.facts) == (part(1).work, {"attempt": 7})


@pytest.mark.parametrize("counts", [[70_000, 0, 65_536, 1], [0], [200_000]])
def test_partitions_may_be_longer_than_what_is_read_at_a_time(counts: list[int]):
    kept = decode(encode({place: part(place, rows) for place, rows in enumerate(counts)}, "run-1", {}), "run-1")
    assert kept is not None
    for place, rows in enumerate(counts):
        table = kept.finished[place].table
        assert np.array_equal(table.row, np.arange(rows)), place
        assert set(table.source.tolist()) <= {f"d/{place}.pt"}


def test_names_of_partitions_are_in_memory_once():
    kept = decode(encode({0: part(0, 1000)}, "run-1", {}), "run-1")
    assert kept is not None
    assert kept.finished[0].table.source.strides == (0,)


def test_a_stretch_is_a_table_like_any_other():
    content = encode({0: part(0), 1: part(1)}, "run-1", {})
    assert len(Predictions.from_parquet(content)) == 6
    whole = Predictions.concatenate([part(0).table, part(1).table])
    assert content == whole.to_parquet({METADATA: read_metadata(content)[METADATA]})


def test_what_is_another_runs_or_no_stretch_is_none():
    assert decode(encode({0: part(0)}, "run-1", {}), "run-2") is None
    assert decode(part(0).table.to_parquet(), "run-1") is None
    assert decode(b"PAR1 or not", "run-1") is None
    with pytest.raises(TableError, match="not a table"):
        read_metadata(b"")


@pytest.mark.parametrize("rows", [2, 4, -3])
def test_a_stretch_that_has_other_rows_than_it_says_is_none(rows: int):
    told = {"execution": "run-1", "facts": {}, "parts": [{"partition": 0, "rows": rows, "work": Work().to_json()}]}
    assert decode(part(0).table.to_parquet({METADATA: json.dumps(told)}), "run-1") is None
