import numpy as np
import pytest

from lambda_image.data.file_content import Column
from scripts.importing.contents import (
    Contents,
    as_numbers,
    as_texts,
    concatenated,
    dtype_name,
    fields_of,
    joined,
    last_name,
    short_names,
    unit_of,
)


def column(values: np.ndarray) -> Column:
    return Column(dtype_name(values.dtype), values.shape, lambda start, stop: values[start:stop])


def test_arrays_are_listed_with_types_and_shapes_and_the_rest_is_counted():
    found = Contents("a", "test", {f"x{n}": column(np.zeros((3, n + 1), ">f4")) for n in range(14)})
    assert found.listed(["x1"]) == "x1 float32 [3, 2]"
    assert found.listed().endswith("x11 float32 [3, 12], 2 more")
    assert Contents("a", "test", {}).listed() == "nothing"


def test_a_name_that_ends_with_a_dot_is_no_table():
    assert short_names(["B.", "cat/V."]) == {"B.": "B", "cat/V.": "V"}
    assert [last_name(name) for name in ("B.", "cat/V.", "photo.G")] == ["b", "v", "g"]


def test_names_lose_their_table_where_the_rest_tells_them_apart():
    names = ["photo.id", "spec.id", "spec/z", "ra"]
    assert short_names(names) == {"photo.id": "photo.id", "spec.id": "spec.id", "spec/z": "z", "ra": "ra"}


@pytest.mark.parametrize("lengths", [[3, 4, 5], [0, 12], [12], [5, 0, 0, 7]])
@pytest.mark.parametrize(("start", "stop"), [(0, 12), (2, 3), (2, 9), (11, 12), (5, 5)])
def test_columns_that_follow_one_another_are_read_as_one(lengths, start, stop):
    whole = np.arange(24).reshape(12, 2)
    parts = [column(part) for part in np.split(whole, np.cumsum(lengths)[:-1])]
    both = joined(parts[0], lengths, parts.__getitem__)
    assert both.shape == (12, 2)
    np.testing.assert_array_equal(both.read(start, stop), whole[start:stop])


def test_rows_are_masked_if_some_piece_is():
    plain, masked = np.array([1, 2]), np.ma.MaskedArray([3, 4], [True, False])
    assert type(concatenated([plain, plain])) is np.ndarray
    both = concatenated([plain, masked])
    assert np.ma.getmaskarray(both).tolist() == [False, False, True, False]
    assert np.ma.getdata(both).tolist() == [1, 2, 3, 4]


def test_fields_are_columns():
    table = np.zeros(4, [("id", ">i8"), ("mags", "<f4", (5,)), ("name", "S3")])
    table["id"] = range(4)
    found = fields_of("t", table.dtype, 4, lambda start, stop: table[start:stop])
    assert [(name, field.dtype, field.shape) for name, field in found.items()] == [
        ("t.id", "int64", (4,)),
        ("t.mags", "float32", (4, 5)),
        ("t.name", "text", (4,)),
    ]
    assert found["t.id"].read(1, 3).tolist() == [1, 2]


def test_masked_values_are_nan_and_texts_lose_their_padding():
    np.testing.assert_array_equal(as_numbers(np.ma.MaskedArray([1, 2], [False, True])), [1, np.nan])
    assert as_texts(np.array([b"g ", "ü".encode()])) == ["g", "ü"]
    assert as_texts(np.array(["r ", "i"])) == ["r", "i"]


@pytest.mark.parametrize(
    ("attributes", "unit"),
    [({"units": b"nJy"}, "nJy"), ({"unit": "mag", "x": 1}, "mag"), ({"BUNIT": "Jy"}, "Jy"), ({}, None)],
)
def test_a_unit_has_several_names(attributes, unit):
    assert unit_of(attributes) == unit
