import json

import numpy as np
import pytest

from lambda_image.data.arrow import decode_values, encode_values, pandas_metadata, repeated_texts

NONE = np.zeros(3, np.bool_)
SECOND = np.array([False, True, False])


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint64", "float32", "float64"])
@pytest.mark.parametrize("missing", [NONE, SECOND])
def test_values_come_back_with_their_type_and_what_is_missing(dtype: str, missing: np.ndarray) -> None:
    values = np.array([1, 0, 1], dtype)
    back = decode_values(encode_values(values, missing))
    assert back.dtype == values.dtype
    assert isinstance(back, np.ma.MaskedArray) == missing.any()
    np.testing.assert_array_equal(np.ma.getmaskarray(back), missing)
    np.testing.assert_array_equal(np.asarray(back)[~missing], values[~missing])


def test_a_float_that_is_nan_is_a_value_and_not_missing() -> None:
    array = encode_values(np.array([0.5, np.nan, 1.0]), NONE)
    assert array.null_count == 0
    assert np.isnan(decode_values(array)[1])


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("é", "é"),
        ("b'id 1'", "id 1"),
        ('b"it\'s"', "it's"),
        ("b'", "b'"),
        ("b'no end", "b'no end"),
        ("b'\\xff'", "b'\\xff'"),  # what is inside is no text
        ("banana", "banana"),
    ],
)
def test_texts_are_kept_in_utf8_without_the_notation_of_bytes(given: str, kept: str) -> None:
    back = decode_values(encode_values(np.array([given, "", "x"]), NONE))
    assert back.tolist() == [kept.encode(), b"", b"x"]


def test_a_column_of_which_all_is_missing_keeps_its_type() -> None:
    for values in (np.arange(3, dtype=np.int16), np.array(["a", "b", "c"])):
        back = decode_values(encode_values(values, ~NONE))
        assert isinstance(back, np.ma.MaskedArray)
        assert back.mask.all()
        assert back.dtype.kind == ("S" if values.dtype.kind == "U" else "i")


def test_columns_in_other_byte_order_or_with_gaps_are_encoded() -> None:
    assert decode_values(encode_values(np.arange(6)[::2], NONE)).tolist() == [0, 2, 4]


@pytest.mark.parametrize("texts", [[], ["a"], ["a", "a", "b", "a"], ["", "", "é"]])
def test_neighbours_that_are_equal_are_encoded_once_and_stay_in_place(texts: list[str]) -> None:
    assert repeated_texts(np.array(texts, dtype="U4")).to_pylist() == texts


def test_pandas_is_told_of_integers_and_booleans_with_missing_values_only() -> None:
    types = {"whole": np.dtype(np.uint8), "flag": np.dtype(np.bool_), "real": np.dtype(float), "text": np.dtype("S3")}
    described = json.loads(pandas_metadata(types)["pandas"])["columns"]
    assert [(one["name"], one["numpy_type"]) for one in described] == [("whole", "UInt8"), ("flag", "boolean")]
    assert pandas_metadata({"real": types["real"]}) == {}
