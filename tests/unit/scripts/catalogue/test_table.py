import pyarrow as pa
import pytest

from scripts.catalogue.table import Catalogue, Meaning, distinct_names


@pytest.mark.parametrize(
    ("given", "distinct"),
    [
        (["a", "b"], ["a", "b"]),
        (["a", "a", "a"], ["a", "a_2", "a_3"]),
        (["ra", "RA"], ["ra", "RA_2"]),
        (["a", "a", "a_2"], ["a", "a_3", "a_2"]),
        ([], []),
    ],
)
def test_names_differ_by_more_than_case(given: list[str], distinct: list[str]):
    assert distinct_names(given) == distinct


def test_a_column_without_a_meaning_has_an_empty_one():
    catalogue = Catalogue(pa.table({"a": [1], "b": [2]}), {"a": Meaning("deg")})
    assert (catalogue.meaning("a").unit, catalogue.meaning("b")) == ("deg", Meaning())
    assert catalogue.without(["a"]).table.column_names == ["b"]
    assert catalogue.without([]) is catalogue
