import numpy as np
import pytest

from lambda_image.data.predictions import Predictions


def some(source: str, first_row: int, count: int, with_truth: bool = True) -> Predictions:
    rng = np.random.default_rng(count)
    true = rng.random(count) if with_truth else None
    return Predictions.of_partition(source, first_row, rng.random((count, 5)), rng.random(count), true)


def same(one: Predictions, other: Predictions) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(other, name), equal_nan=name == "redshift_true")
        for name in Predictions.__dataclass_fields__
    )


def test_parquet_round_trip():
    table = Predictions.concatenate([some("a/1.pt", 0, 3), some("a/2.pt", 7, 2, with_truth=False)])
    again = Predictions.from_parquet(table.to_parquet())
    assert same(again, table)
    assert again.source.tolist() == ["a/1.pt"] * 3 + ["a/2.pt"] * 2
    assert again.row.tolist() == [0, 1, 2, 7, 8]
    assert np.isnan(again.redshift_true[3:]).all()


def test_no_rows():
    none = Predictions.concatenate([])
    assert len(none) == 0
    assert len(Predictions.from_parquet(none.to_parquet())) == 0


@pytest.mark.parametrize("data", [b"", b"PAR1", b"{}" * 100])
def test_what_is_no_table_is_refused(data):
    with pytest.raises(ValueError, match="not a table of predictions"):
        Predictions.from_parquet(data)
