from pathlib import Path

import numpy as np
import pytest

from lambda_image.data.file_content import Column
from lambda_image.errors import PartitionMalformed
from scripts.importing.contents import (
    SHOWN_ARRAYS,
    Contents,
    Series,
    as_numbers,
    as_texts,
    concatenated,
    dtype_name,
    fields_of,
    short_names,
    unit_of,
)


def column(values: np.ndarray) -> Column:
    return Column(values.dtype.name, values.shape, lambda start, stop: values[start:stop])


def test_what_a_file_holds_is_listed_with_types_and_shapes_and_not_without_end() -> None:
    arrays = {f"a{number}": column(np.zeros((2, 3), np.float32)) for number in range(SHOWN_ARRAYS + 2)}
    contents = Contents("file", "FITS", arrays)
    assert contents.listed(["a1"]) == "a1 float32 [2, 3]"
    assert contents.listed().endswith("a11 float32 [2, 3], 2 more")
    assert Contents("file", "FITS", {}).listed() == "nothing"


def test_a_name_is_short_where_that_tells_it_from_the_others() -> None:
    assert short_names(["t/a", "t/b", "u/b"]) == {"t/a": "a", "t/b": "t/b", "u/b": "u/b"}


@pytest.mark.parametrize(("start", "stop"), [(0, 7), (0, 0), (2, 5), (3, 4), (6, 7), (1, 7)])
def test_files_follow_one_another_whatever_rows_are_read(start: int, stop: int) -> None:
    parts = [np.arange(3), np.arange(0), np.arange(3, 5), np.arange(5, 7)]
    opened: list[int] = []

    def open_file(path: Path) -> Contents:
        opened.append(int(path.name))
        return Contents(path.name, "CSV", {"x": column(parts[int(path.name)])})

    contents = Series([Path(str(number)) for number in range(4)], open_file).contents("all")
    assert (contents.kind, contents.arrays["x"].shape) == ("4 files of CSV", (7,))
    np.testing.assert_array_equal(contents.arrays["x"].read(start, stop), np.arange(start, stop))
    assert set(opened) == {0, 1, 2, 3}


def test_a_file_that_differs_is_named_with_what_it_has() -> None:
    shapes = {"a": (2, 5), "b": (2, 4)}

    def open_file(path: Path) -> Contents:
        return Contents(path.name, "CSV", {"x": column(np.zeros(shapes[path.name], np.int8))})

    with pytest.raises(PartitionMalformed, match=r"^b has x int8 \[2, 4\], and a has x int8 \[2, 5\]: import them"):
        Series([Path("a"), Path("b")], open_file).contents("all")


def test_rows_are_masked_where_any_of_them_are() -> None:
    masked = np.ma.MaskedArray([1, 2], [False, True])
    assert not isinstance(concatenated([np.arange(2), np.arange(2)]), np.ma.MaskedArray)
    assert concatenated([np.array([7]), masked]).tolist() == [7, 1, None]
    np.testing.assert_array_equal(as_numbers(masked), [1, np.nan])


def test_each_field_of_a_structured_array_is_a_column() -> None:
    values = np.array([(1, [2.0, 3.0]), (4, [5.0, 6.0])], [("id", ">i4"), ("mag", "f4", (2,))])
    columns = fields_of("t", values.dtype, 2, lambda start, stop: values[start:stop])
    assert {name: (one.dtype, one.shape) for name, one in columns.items()} == {
        "t.id": ("int32", (2,)),
        "t.mag": ("float32", (2, 2)),
    }
    np.testing.assert_array_equal(columns["t.mag"].read(1, 2), [[5.0, 6.0]])


def test_texts_of_any_type_are_texts_without_their_padding() -> None:
    assert as_texts(np.array([b"a ", b"\xff"])) == ["a", "�"]
    assert as_texts(np.array(["b "])) == ["b"]
    assert [dtype_name(np.dtype(one)) for one in ("S3", "U3", ">f4")] == ["text", "text", "float32"]


@pytest.mark.parametrize(
    ("attributes", "unit"), [({"BUNIT": b"nanomaggy"}, "nanomaggy"), ({"units": "mag"}, "mag"), ({"x": 1}, None)]
)
def test_a_unit_is_found_by_its_usual_names(attributes: dict[str, object], unit: str | None) -> None:
    assert unit_of(attributes) == unit
