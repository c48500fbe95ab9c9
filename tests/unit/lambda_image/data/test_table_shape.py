import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambda_image.data.predictions import Predictions
from lambda_image.data.table_shape import TableShape, UserColumn

COLUMNS = {
    "id": st.sampled_from([np.int64, np.uint64, np.int8]).map(lambda kind: np.array([3], kind)),
    "text": st.sampled_from([np.array([b"a"]), np.array([b"abc"])]),
    "mixed": st.sampled_from([np.array([1.5]), np.array([7]), np.array([b"x"]), np.ma.MaskedArray([2], [True])]),
}


@st.composite
def tables(draw: st.DrawFn) -> Predictions:
    rows = draw(st.integers(0, 2))
    columns = {
        name: np.ma.concatenate([draw(values)] * rows)
        for name, values in COLUMNS.items()
        if rows and draw(st.booleans())
    }
    columns = {name: values if np.ma.is_masked(values) else np.ma.getdata(values) for name, values in columns.items()}
    z = np.full(rows, 0.1)
    errors = z if draw(st.booleans()) else None
    return Predictions.of_partition("k", 0, np.zeros((rows, 5)), z, z, columns=columns, redshift_err=errors)


@given(st.lists(tables(), max_size=4))
def test_the_shape_of_joined_tables_is_found_without_joining_them(parts: list[Predictions]):
    joined = Predictions.concatenate(parts).shape()
    found = TableShape.joined(part.shape() for part in parts)
    assert (found.rows, found.magnitudes, found.errors) == (joined.rows, joined.magnitudes, joined.errors)
    assert found.names() == joined.names()
    assert {n: c.missing for n, c in found.columns.items()} == {n: c.missing for n, c in joined.columns.items()}
    one_by_one = TableShape()
    for part in parts:
        one_by_one = TableShape.joined([one_by_one, part.shape()])
    assert one_by_one.names() == found.names()
    assert TableShape.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_the_first_table_with_rows_says_how_many_magnitudes_there_are():
    assert TableShape.joined([TableShape(0, 5), TableShape(3, 7), TableShape(0, 5)]).magnitudes == 7
    assert TableShape.joined([TableShape(0, 7), TableShape(0, 5)]).magnitudes == 7
    assert TableShape.joined([]).magnitudes == 5


def test_widths_of_text_make_no_difference_between_files():
    one, other = (TableShape(1, columns={"name": UserColumn(np.dtype(kind), False)}) for kind in ("S3", "S9"))
    assert one.names() == other.names() != TableShape(1).names()


@pytest.mark.parametrize(
    "damage",
    [{"rows": -1}, {"rows": "x"}, {"magnitudes": 10**6}, {"columns": 3}, {"columns": [{"name": "a"}]}]
    + [{"columns": [{"name": "a", "type": kind, "missing": False}]} for kind in ("O", "no", "V9", "S99999999")]
    + [{"columns": [{"name": str(n), "type": "<i8", "missing": False} for n in range(99)]}],
)
def test_what_is_no_shape_is_refused(damage: dict):
    with pytest.raises(ValueError, match="not the shape of a table"):
        TableShape.from_json(TableShape(1).to_json() | damage)
