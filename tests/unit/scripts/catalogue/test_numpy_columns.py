import datetime
import decimal

import numpy as np
import pyarrow as pa
import pytest
from astropy.table import MaskedColumn, Table

from scripts.catalogue.numpy_columns import from_astropy, plain, to_arrow, to_numpy
from scripts.catalogue.table import Meaning

DAY = datetime.datetime(2026, 11, 28, 12, 0, 1)


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        (np.array([2**62 + 1, -1], ">i8"), pa.int64(), [2**62 + 1, -1]),
        (np.array([1.5], ">f4"), pa.float32(), [1.5]),
        (np.ma.MaskedArray([1, 2], [True, False]), pa.int64(), [None, 2]),
        (np.array([True, False]), pa.bool_(), [True, False]),
        (np.array([b"a ", b"b"]), pa.string(), ["a ", "b"]),
        (np.array(["a\xe9", "b"]), pa.string(), ["a\xe9", "b"]),
        (np.array(["x", None], object), pa.string(), ["x", None]),
        (np.array([[1, 2], [3, 4]], ">i2"), pa.list_(pa.int16(), 2), [[1, 2], [3, 4]]),
        (np.zeros((0, 2)), pa.list_(pa.float64(), 2), []),
    ],
)
def test_arrays_of_numpy(values: np.ndarray, kind: pa.DataType, expected: list[object]):
    array = to_arrow(values)
    assert array is not None
    assert (array.type, array.to_pylist()) == (kind, expected)


@pytest.mark.parametrize("values", [np.array([1j]), np.array([1, "a"], object), np.zeros((2, 0))])
def test_what_is_no_plain_column(values: np.ndarray):
    assert to_arrow(values) is None


def test_blanks_that_pad_are_removed():
    array = to_arrow(np.array([b"a  ", b"\xe9 "]), padded=True)
    assert array is not None
    assert array.to_pylist() == ["a", "é"]


def test_a_table_of_astropy():
    table = Table(
        {"id": MaskedColumn([1, 2], mask=[0, 1], unit="mag", description="two\n lines", meta={"ucd": "meta.id"})}
    )
    catalogue, notes = from_astropy(table)
    assert (catalogue.table.to_pydict(), notes) == ({"id": [1, None]}, [])
    assert catalogue.meaning("id") == Meaning("mag", "meta.id", "two lines")


@pytest.mark.parametrize(
    ("array", "kind", "expected"),
    [
        (pa.array(["a", "b"]).dictionary_encode(), pa.string(), ["a", "b"]),
        (pa.array(["a"], pa.string_view()), pa.string(), ["a"]),
        (pa.array(["a"], pa.large_string()), pa.string(), ["a"]),
        (pa.array([b"a"]), pa.string(), ["a"]),
        (pa.nulls(2), pa.string(), [None, None]),
        (pa.array([DAY], pa.timestamp("s")), pa.string(), ["2026-11-28T12:00:01"]),
        (pa.array([DAY.date()]), pa.string(), ["2026-11-28"]),
        (pa.array([datetime.timedelta(seconds=1)], pa.duration("s")), pa.int64(), [1]),
        (pa.array([decimal.Decimal("1.5")]), pa.float64(), [1.5]),
        (pa.array(np.array([1.5], np.float16)), pa.float32(), [1.5]),
        (pa.array([[1, 2]], pa.list_(pa.int8(), 2)), pa.list_(pa.int8(), 2), [[1, 2]]),
        (pa.array([True, None]), pa.bool_(), [True, None]),
    ],
)
def test_types_of_arrow_become_those_that_formats_have(array: pa.Array, kind: pa.DataType, expected: list[object]):
    values = plain(pa.chunked_array([array]))
    assert values is not None
    assert (values.type, values.to_pylist()) == (kind, expected)


@pytest.mark.parametrize(
    "array",
    [
        pa.array([[1], [1, 2]]),
        pa.array([{"a": 1}]),
        pa.array([b"\xff"]),
        pa.array([[1, 2], None], pa.list_(pa.int8(), 2)),
        pa.array([[1, None]], pa.list_(pa.int8(), 2)),
        pa.array([["a", "b"]], pa.list_(pa.string(), 2)),
    ],
)
def test_what_no_format_has(array: pa.Array):
    assert plain(pa.chunked_array([array])) is None


def test_missing_values_are_told_apart_in_numpy():
    values, missing = to_numpy(pa.array([2**62 + 1, None]))
    assert (values.tolist(), missing.tolist()) == ([2**62 + 1, 0], [False, True])
    values, missing = to_numpy(pa.array([True, None]))
    assert (values.tolist(), missing.tolist()) == ([True, False], [False, True])
    values, missing = to_numpy(pa.array([0.5, None]))
    assert np.isnan(values[1])
    values, missing = to_numpy(pa.array(["é", None]))
    assert values.tolist() == ["é".encode(), b""]
    values, missing = to_numpy(pa.array([[1, 2], [3, 4]], pa.list_(pa.int8(), 2)).slice(1))
    assert (values.tolist(), missing) == ([[3, 4]], None)
