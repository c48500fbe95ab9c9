import decimal

import numpy as np
import pyarrow as pa
import pytest

from lambda_image.errors import InvalidEvent, UsageError
from scripts.catalogue.ids import choose_id, choose_main_id, comparable, is_id_type, keys
from tests.unit.scripts.catalogue.runs import FIRST_ID


def listed(*values: object, kind: pa.DataType | None = None) -> list[object]:
    return keys(pa.chunked_array([pa.array(values, kind)]), "id of the catalogue").to_pylist()


def test_types_of_ids():
    assert is_id_type(pa.dictionary(pa.int32(), pa.string()))
    assert is_id_type(pa.decimal128(20, 0))
    assert not any(map(is_id_type, (pa.float64(), pa.bool_(), pa.list_(pa.int64()), pa.decimal128(20, 1))))


@pytest.mark.parametrize(
    ("catalogue", "predictions", "given", "chosen"),
    [
        (["OBJID", "ra"], ["objid"], None, ("OBJID", "objid")),
        (["object_id", "n"], ["objectId", "n"], None, ("object_id", "objectId")),
        (["n", "ra"], ["n"], None, ("n", "n")),
        (["objid", "specobjid"], ["objid", "specobjid"], "specObjID", ("specobjid", "specobjid")),
        (["ID", "x"], ["objid"], "ID=objid", ("ID", "objid")),
        (["a=b"], ["a=b"], "a=b", ("a=b", "a=b")),
        (["id", "ID_2"], ["id"], "id", ("id", "id")),
    ],
)
def test_the_columns_of_ids(catalogue: list[str], predictions: list[str], given: str | None, chosen: tuple[str, str]):
    assert choose_id(catalogue, predictions, given) == chosen


@pytest.mark.parametrize(
    ("catalogue", "predictions", "given", "words"),
    [
        (["objid"], [], None, "the predictions hold no ids to join by"),
        (["objid", "specobjid"], ["objid", "specobjid"], None, r"several columns in common \(objid, specobjid\)"),
        (["plate", "mjd"], ["plate", "mjd"], None, r"several columns in common \(plate, mjd\)"),
        (["name"], ["objid"], None, "have no column of ids in common: name both"),
        (["name"], ["objid"], "objid", "--id objid is no column of the catalogue, which has name"),
        (["name"], ["objid"], "name=x", "--id x is no column of the predictions, which has objid"),
        (["ID", "id_"], ["objid"], "Id=objid", "--id Id may be ID, id_ of the catalogue"),
    ],
)
def test_what_is_no_choice_is_refused(catalogue: list[str], predictions: list[str], given: str | None, words: str):
    with pytest.raises(UsageError, match=words):
        choose_id(catalogue, predictions, given)


def test_the_id_of_predictions_alone():
    assert choose_main_id(["plate", "objid"], None) == "objid"
    assert choose_main_id(["plate"], None) is None
    assert choose_main_id(["plate"], "Plate") == "plate"
    with pytest.raises(UsageError, match="--id x is no column of the predictions, which has none"):
        choose_main_id([], "x")


def test_keys_keep_every_digit():
    assert listed(FIRST_ID, None, -1) == [FIRST_ID, None, -1]
    assert listed(2**64 - 2, kind=pa.uint64()) == [2**64 - 2]
    assert listed(7, kind=pa.uint64()) == [7]
    assert listed(decimal.Decimal(FIRST_ID), kind=pa.decimal128(20, 0)) == [FIRST_ID]
    assert listed(" a ", "", None, "  ") == ["a", None, None, None]
    assert listed(b"a  ", kind=pa.binary(3)) == ["a"]
    dictionary = pa.array(["a", "b", "a"]).dictionary_encode()
    assert keys(pa.chunked_array([dictionary]), "id").to_pylist() == ["a", "b", "a"]
    assert listed(None, None) == [None, None]


def test_what_an_import_writes_for_missing_integers_is_no_id():
    for kind in (np.int8, np.int16, np.int32, np.int64):
        least = int(np.iinfo(kind).min)
        assert listed(least, least + 1, kind=pa.from_numpy_dtype(kind)) == [None, least + 1]
    for kind in (np.uint32, np.uint64):
        greatest = int(np.iinfo(kind).max)
        assert listed(greatest, greatest - 1, kind=pa.from_numpy_dtype(kind)) == [None, greatest - 1]
    assert listed(65_535, 7, kind=pa.uint16()) == [65_535, 7]  # which 65,536 galaxies have


def test_floating_point_ids_are_taken_where_they_are_exact():
    assert listed(1.0, float("nan"), None, 2.0**53) == [1, None, None, 2**53]
    assert listed(1.0, 2.0**24, kind=pa.float32()) == [1, 2**24]
    assert listed(float("nan")) == [None]


@pytest.mark.parametrize(
    ("values", "kind", "words"),
    [
        ([float(FIRST_ID)], pa.float64(), "double, which keeps 15 digits: its ids are rounded"),
        ([2.0**25], pa.float32(), "float, which keeps 7 digits"),
        ([np.inf], pa.float64(), "its ids are rounded"),
        ([1.5], pa.float64(), "numbers that are not whole"),
        ([[1]], pa.list_(pa.int64()), "an id is a whole number or text"),
        ([True], pa.bool_(), "an id is a whole number or text"),
        ([b"\xff"], pa.binary(), "text that is not UTF-8"),
    ],
)
def test_what_is_no_id_is_refused_by_name(values: list[object], kind: pa.DataType, words: str):
    with pytest.raises(InvalidEvent, match="the column id of the catalogue .*" + words):
        listed(*values, kind=kind)


def test_ids_of_two_types_are_compared_by_their_value():
    numbers = pa.array([FIRST_ID, 7, None])
    texts = pa.array([str(FIRST_ID), "007", "+7", "0", "N7", None], pa.large_string())
    first, second = comparable(numbers, texts)
    assert first.to_pylist() == [str(FIRST_ID), "7", None]
    assert second.to_pylist() == [str(FIRST_ID), "7", "7", "0", "N7", None]
    first, second = comparable(pa.array([-1, 5]), pa.array([2**64 - 1, 5], pa.uint64()))
    assert (first.to_pylist(), second.to_pylist()) == ([-1, 5], [None, 5])
    same = pa.array(["007"], pa.large_string())
    assert comparable(same, same)[0].to_pylist() == ["007"]
