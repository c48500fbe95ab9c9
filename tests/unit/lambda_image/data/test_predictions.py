import io
import json
from pathlib import Path

import numpy as np
import pytest
from arro3.core import Array, DataType, Table
from arro3.io import read_parquet, write_parquet
from hypothesis import given
from hypothesis import strategies as st

from lambda_image.data.columns import TABLE_COLUMNS
from lambda_image.data.partition import ROW_BYTES, open_partition, write_partition
from lambda_image.data.predictions import Predictions
from lambda_image.data.sizes import magnitude_columns
from scripts.split import split


def some(source: str, first_row: int, count: int, with_truth: bool = True, **columns: np.ndarray) -> Predictions:
    rng = np.random.default_rng(count)
    true = rng.random(count) if with_truth else None
    quality = rng.integers(0, 64, count)
    return Predictions.of_partition(
        source, first_row, rng.random((count, 5)), rng.random(count), true, quality, columns
    )


def same(one: Predictions, other: Predictions) -> bool:
    arrays = [name for name in Predictions.__dataclass_fields__ if name not in ("columns", "redshift_err")]
    if (one.redshift_err is None) != (other.redshift_err is None):
        return False
    arrays += ["redshift_err"] if one.redshift_err is not None else []
    nullable = ("redshift", "redshift_err", "redshift_true")
    return (
        all(
            getattr(one, name).dtype == getattr(other, name).dtype
            and np.array_equal(getattr(one, name), getattr(other, name), equal_nan=name in nullable)
            for name in arrays
        )
        and list(one.columns) == list(other.columns)
        and all(same_column(values, other.columns[name]) for name, values in one.columns.items())
    )


def same_column(one: np.ndarray, other: np.ndarray) -> bool:
    known = ~np.ma.getmaskarray(one)
    if one.dtype.kind == "S":
        alike = one[known].tolist() == other[known].tolist() and other.dtype.kind == "S"
    else:
        alike = one.dtype == other.dtype and one[known].tobytes() == other[known].tobytes()
    return alike and (known == ~np.ma.getmaskarray(other)).all()


def arrow(table: Predictions) -> Table:
    return read_parquet(io.BytesIO(table.to_parquet())).read_all()


def test_parquet_round_trip():
    table = Predictions.concatenate([some("a/1.pt", 0, 3), some("a/2.pt", 7, 2, with_truth=False)])
    again = Predictions.from_parquet(table.to_parquet())
    assert same(again, table)
    assert again.source.tolist() == ["a/1.pt"] * 3 + ["a/2.pt"] * 2
    assert again.row.tolist() == [0, 1, 2, 7, 8]
    assert np.isnan(again.redshift_true[3:]).all()


NUMBERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64"]


@given(st.data(), st.integers(1, 40))
def test_columns_of_any_type_come_back_bit_for_bit_and_in_order(data, count):
    """Of two partitions, of which the second may lack a column."""

    def drawn(dtype: str) -> np.ndarray:
        if dtype == "text":
            texts = data.draw(
                st.lists(st.text(max_size=5).filter(lambda t: t[-1:] != "\0"), min_size=count, max_size=count)
            )
            return np.array([text.encode() for text in texts])
        if dtype == "bool":
            return np.array(data.draw(st.lists(st.booleans(), min_size=count, max_size=count)))
        size = count * np.dtype(dtype).itemsize
        return np.frombuffer(data.draw(st.binary(min_size=size, max_size=size)), dtype)

    names = data.draw(st.lists(st.sampled_from(["TARGETID", "objid", "ra", "é'"]), max_size=4, unique=True))
    types = {name: data.draw(st.sampled_from([*NUMBERS, "bool", "text"])) for name in names}
    lacking = data.draw(st.sampled_from([None, *names]))
    one = some("a", 0, count, **{name: drawn(dtype) for name, dtype in types.items()})
    other = some("b", 9, count, **{name: drawn(dtype) for name, dtype in types.items() if name != lacking})
    table = Predictions.concatenate([one, other])
    again = Predictions.from_parquet(table.to_parquet())
    for name in names:  # a NaN among null values keeps no more than that it is one
        if np.ma.is_masked(again.columns[name]) and again.columns[name].dtype.kind == "f":
            assert np.array_equal(again.columns[name].filled(0), table.columns[name].filled(0), equal_nan=True)
            table.columns.pop(name)
            again.columns.pop(name)
    assert same(again, table)


def test_the_table_has_its_columns_in_order_and_with_their_types():
    ids, names = np.array([10**17 + 1, 2]), np.array([b"SDSS J1", b""])
    table = arrow(
        some("a", 0, 2, objid=ids, name=names, flag=np.array([True, False]), plate=np.array([7, 8], np.uint8))
    )
    ours = [name for name in TABLE_COLUMNS if name != "redshift_err"]  # which only some models give
    assert table.column_names == [*ours[:2], "objid", "name", "flag", "plate", *ours[2:]]
    types = [DataType.int64(), DataType.string(), DataType.bool(), DataType.uint8()]
    assert [table[name].type for name in ("objid", "name", "flag", "plate")] == types
    assert table["quality"].type == DataType.int32()
    assert table["objid"].to_pylist() == ids.tolist()
    assert table["name"].to_pylist() == ["SDSS J1", ""]


def test_no_prediction_and_no_true_redshift_are_null():
    redshift = np.array([0.1, np.nan, 0.3, -np.inf], np.float32)
    table = Predictions.of_partition("a", 0, np.zeros((4, 5)), redshift, redshift[::-1], np.array([0, 2, 0, 0]))
    stored = arrow(table)
    assert [value is None for value in stored["redshift"].to_pylist()] == [False, True, False, False]
    assert [value is None for value in stored["redshift_true"].to_pylist()] == [False, False, True, False]
    assert stored["redshift"].type == DataType.float32()
    assert same(Predictions.from_parquet(table.to_parquet()), table)


@pytest.mark.parametrize("count", [0, 1, 5, 6, 11])
def test_a_table_has_a_column_for_each_magnitude(count):
    magnitudes = np.arange(2 * count, dtype=np.float32).reshape(2, count)
    table = Predictions.of_partition("a", 0, magnitudes, np.ones(2), None, columns={"objid": np.array([1, 2])})
    named = [name for name in arrow(table).column_names if name.startswith("mag_")]
    assert named == list(magnitude_columns(count))
    assert same(Predictions.from_parquet(table.to_parquet()), table)
    none = Predictions.from_parquet(Predictions.concatenate([]).to_parquet())  # of a rank without galaxies
    assert same(Predictions.concatenate([none, table, none]), table)


def test_a_column_of_the_user_may_be_called_like_a_magnitude_by_number_where_those_have_names():
    columns = {"mag_1": np.array([1.0, 2.0])}
    table = Predictions.of_partition("a", 0, np.ones((2, 5)), np.ones(2), None, columns=columns)
    assert same(Predictions.from_parquet(table.to_parquet()), table)


def test_uncertainties_are_a_column_where_the_model_gives_them():
    errors = np.array([0.1, np.nan], np.float32)
    table = Predictions.of_partition("a", 0, np.ones((2, 5)), np.ones(2), None, redshift_err=errors)
    stored = arrow(table)
    assert stored.column_names[-4:] == ["redshift", "redshift_err", "redshift_true", "quality"]
    assert [value is None for value in stored["redshift_err"].to_pylist()] == [False, True]
    back = Predictions.from_parquet(table.to_parquet())
    assert same(back, table)
    without = Predictions.of_partition("b", 0, np.ones((1, 5)), np.ones(1), None)
    joined = Predictions.concatenate([without, back, back.where(np.array([True, False]))])
    np.testing.assert_array_equal(joined.redshift_err, np.array([np.nan, 0.1, np.nan, 0.1], np.float32))
    assert Predictions.concatenate([without]).redshift_err is None


def test_a_column_that_a_partition_lacks_is_null_and_keeps_its_type():
    ids = np.array([10**17 + 1, 10**17 + 2])
    table = Predictions.concatenate([some("a", 0, 2, objid=ids), some("b", 0, 1)])
    stored = arrow(table)["objid"]
    assert stored.type == DataType.int64()
    assert stored.to_pylist() == [*ids, None]


def test_pandas_is_told_to_keep_integers_with_nulls():
    """It would make float64 of them, in which ids of 18 digits run into one another."""
    ids = np.array([10**17 + 1, 10**17 + 2])
    columns = {"objid": ids, "plate": ids.astype(np.uint16), "flag": ids > 0, "ra": ids / 7, "name": ids.astype("S")}
    table = Predictions.concatenate([some("a", 0, 2, **columns), some("b", 0, 1)])
    described = json.loads(arrow(table).schema.metadata[b"pandas"])["columns"]
    types = {column["name"]: (column["pandas_type"], column["numpy_type"]) for column in described}
    assert types == {"objid": ("int64", "Int64"), "plate": ("uint16", "UInt16"), "flag": ("bool", "boolean")}
    assert b"pandas" not in arrow(some("a", 0, 2, **columns)).schema.metadata


def test_pandas_reads_the_same_ids():
    pytest.importorskip("pyarrow")
    pandas = pytest.importorskip("pandas")
    ids = np.array([10**17 + 1, 2**63 - 1])
    table = Predictions.concatenate([some("a", 0, 2, objid=ids), some("b", 0, 1)])
    frame = pandas.read_parquet(io.BytesIO(table.to_parquet()))
    assert frame["objid"].dtype == "Int64"
    assert frame["objid"].tolist() == [*ids, pandas.NA]


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("b'1237648720693755918'", "1237648720693755918"),
        ('b"it\'s"', "it's"),
        (r"b'\xc3\xa9'", "é"),
        ("b''", ""),
        ("b'cut", "b'cut"),
        ("b'", "b'"),
        ("b'a' + b'b'", "b'a' + b'b'"),
        (r"b'\xff'", r"b'\xff'"),
        ("b'é'", "b'é'"),
        ("beta", "beta"),
        ("'a'", "'a'"),
    ],
)
def test_the_notation_of_bytes_is_unwrapped(text: str, written: str):
    for column in (np.array([text.encode(), b"other"]), np.array([text, "other"])):
        assert arrow(some("a", 0, 2, name=column))["name"].to_pylist() == [written, "other"]


def test_rows_may_be_given_one_by_one():
    rows = np.array([5, 3, 10**12])
    table = Predictions.of_partition("a", rows, np.zeros((3, 5)), np.zeros(3), None)
    assert Predictions.from_parquet(table.to_parquet()).row.tolist() == rows.tolist()
    assert table.quality.tolist() == [0, 0, 0]


def test_tables_from_before_columns_and_quality_are_read():
    old = {"source": Array(["a", "a"], DataType.string()), "row": Array.from_numpy(np.arange(2))}
    for name in TABLE_COLUMNS[2:-1]:
        old[name] = Array.from_numpy(np.array([0.5, np.nan], np.float32))
    buffer = io.BytesIO()
    write_parquet(Table.from_pydict(old), buffer)
    table = Predictions.from_parquet(buffer.getvalue())
    assert table.quality.tolist() == [0, 0]
    assert table.quality.dtype == np.int32
    assert table.columns == {}
    assert np.isnan(table.redshift_true).tolist() == [False, True]


@pytest.mark.parametrize("file_format", ["safetensors", "pt"])
def test_ids_are_the_same_from_the_dataset_through_split_to_the_table(tmp_path: Path, file_format):
    count = 11
    ids = np.iinfo(np.int64).max - np.arange(count)
    columns = {"TARGETID": ids, "name": np.array([f"é-{i}" for i in range(count)]), "ra": ids / 7}
    images = np.zeros((count, 5, 32, 32))
    write_partition(tmp_path / "data", images, np.zeros((count, 5)), columns=columns)
    files, _ = split(tmp_path / "data", tmp_path / "parts", 4 * ROW_BYTES / 2**20, file_format)
    tables = []
    for number in range(1, files + 1):
        stream = open_partition(tmp_path / "parts" / f"{number}.{file_format}")
        part = Predictions.of_partition(
            str(number), stream.rows, stream.magnitudes, np.zeros(len(stream)), None, None, stream.columns
        )
        tables.append(Predictions.from_parquet(part.to_parquet()))  # as a rank hands it over
    table = Predictions.from_parquet(Predictions.concatenate(tables).to_parquet())
    assert files == 3
    assert table.row.tolist() == list(range(count))
    assert table.columns["TARGETID"].tolist() == ids.tolist()
    assert [name.decode() for name in table.columns["name"].tolist()] == columns["name"].tolist()
    assert table.columns["ra"].tobytes() == columns["ra"].tobytes()


def test_no_rows():
    none = Predictions.concatenate([])
    assert len(none) == 0
    assert len(Predictions.from_parquet(none.to_parquet())) == 0


@pytest.mark.parametrize("data", [b"", b"PAR1", b"{}" * 100])
def test_what_is_no_table_is_refused(data):
    with pytest.raises(ValueError, match="not a table of predictions"):
        Predictions.from_parquet(data)
