import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambda_image.errors import InvalidEvent, UsageError
from scripts.catalogue.joining import join, match
from scripts.catalogue.table import Catalogue, Meaning
from tests.unit.scripts.catalogue.runs import FIRST_ID

IDS = st.lists(st.one_of(st.none(), st.integers(FIRST_ID, FIRST_ID + 12)), max_size=12)


@given(catalogue=IDS, predictions=IDS, texts=st.booleans())
def test_each_row_has_the_first_prediction_with_its_id(catalogue, predictions, texts: bool):
    first: dict[int, int] = {}
    for row, id_ in enumerate(predictions):
        if id_ is not None:
            first.setdefault(id_, row)
    ours = pa.array([None if id_ is None else str(id_) for id_ in predictions], pa.large_string())
    given = (pa.array(catalogue, pa.int64()), ours if texts else pa.array(predictions, pa.int64()))
    expected = [first.get(id_) if id_ is not None else None for id_ in catalogue]
    if catalogue and first and not any(row is not None for row in expected):
        with pytest.raises(InvalidEvent, match="no id is in both"):
            match(*given, repeats=True)
        return
    found = match(*given, repeats=True)
    assert found.rows.to_pylist() == expected
    assert found.unused == len(first.keys() - set(catalogue))
    assert found.without_id == predictions.count(None)
    assert found.repeated == len(predictions) - predictions.count(None) - len(first)


def test_several_predictions_with_one_id_are_refused_and_named():
    with pytest.raises(InvalidEvent, match="1 id of the run has several predictions, as 7 has: --repeats first"):
        match(pa.array([7]), pa.array([7, 7, 8]))


def test_ids_that_have_nothing_in_common_are_shown():
    with pytest.raises(InvalidEvent, match="the catalogue has ids such as 1, and the predictions such as 2"):
        match(pa.array([None, 1]), pa.array([None, 2]))
    with pytest.raises(InvalidEvent, match="the catalogue has ids such as none at all"):
        match(pa.array([None], pa.int64()), pa.array([2]))


def catalogue(**columns: object) -> Catalogue:
    table = pa.table({"objid": [3, 1, 9, None, 1], **columns})
    return Catalogue(table, {"objid": Meaning("", "meta.id;meta.main")}, "Mine.")


PREDICTIONS = Catalogue(
    pa.table(
        {"objid": [1, 2, 3, None], "redshift": [0.1, 0.2, None, 0.4], "quality": pa.array([0, 0, 4, 0], pa.int32())}
    ),
    {"redshift": Meaning("", "src.redshift.phot")},
    "A run.",
)
BY = ("objid", "objid")


def test_a_catalogue_keeps_its_rows_and_gets_the_results():
    joined, notes = join(catalogue(z=[1, 2, 3, 4, 5]), PREDICTIONS, BY)
    assert joined.table.to_pydict() == {
        "objid": [3, 1, 9, None, 1],
        "z": [1, 2, 3, 4, 5],
        "redshift": [None, 0.1, None, None, 0.1],
        "quality": [4, 0, None, None, 0],
    }
    assert joined.table.schema.field("quality").type == pa.int32()
    assert (joined.meaning("redshift").ucd, joined.text) == ("src.redshift.phot", "Mine. A run.")
    assert notes == [
        "joined by objid: 3 of 5 rows of the catalogue are in the run",
        "1 prediction in no row of the catalogue",
        "1 prediction without an id",
    ]


def test_rows_without_a_prediction_can_be_left_out():
    joined, _ = join(catalogue(), PREDICTIONS, BY, only_matched=True)
    assert joined.table.to_pydict() == {"objid": [3, 1, 1], "redshift": [None, 0.1, 0.1], "quality": [4, 0, 0]}


def test_names_that_the_catalogue_has_get_a_prefix_and_nothing_is_replaced():
    joined, notes = join(catalogue(Redshift=[5.0] * 5), PREDICTIONS, BY)
    assert joined.table.column_names == ["objid", "Redshift", "cosmicai_redshift", "quality"]
    assert joined.table["Redshift"].to_pylist() == [5.0] * 5
    assert joined.meaning("cosmicai_redshift").ucd == "src.redshift.phot"
    assert "redshift is called cosmicai_redshift, because the catalogue has a column of that name" in notes


def test_names_as_rubins():
    joined, notes = join(catalogue(redshift=[5.0] * 5), PREDICTIONS, BY, prefix="run1")
    assert joined.table.column_names == ["objid", "redshift", "run1_z_best", "run1_quality"]
    assert joined.meaning("run1_z_best").ucd == "src.redshift.phot"
    assert not [note for note in notes if "is called" in note]


def test_a_second_join_needs_other_names():
    with pytest.raises(UsageError, match="there is a column run1_z_best already: give another --prefix"):
        join(catalogue(RUN1_Z_BEST=[0.0] * 5), PREDICTIONS, BY, prefix="run1")
    taken = catalogue(redshift=[0.0] * 5, cosmicai_redshift=[0.0] * 5)
    with pytest.raises(UsageError, match="there is a column cosmicai_redshift already: name the new ones by --prefix"):
        join(taken, PREDICTIONS, BY)


def test_an_empty_catalogue_gives_an_empty_one():
    empty = Catalogue(pa.table({"objid": pa.array([], pa.int64())}))
    joined, notes = join(empty, PREDICTIONS, BY)
    assert (joined.table.num_rows, joined.table.column_names) == (0, ["objid", "redshift", "quality"])
    assert notes[0] == "joined by objid: 0 of 0 rows of the catalogue are in the run"


def test_columns_of_other_names():
    other = Catalogue(pa.table({"TARGETID": ["003", "x"]}))
    joined, notes = join(other, PREDICTIONS, ("TARGETID", "objid"))
    assert joined.table.to_pydict() == {"TARGETID": ["003", "x"], "redshift": [None, None], "quality": [4, None]}
    assert notes[0].startswith("joined by TARGETID = objid: 1 of 2 rows")
