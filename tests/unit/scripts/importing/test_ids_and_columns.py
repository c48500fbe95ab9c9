import pytest

from lambda_image.errors import UsageError
from scripts.importing.ids_and_columns import choose_columns, choose_id, same_ids
from tests.unit.scripts.importing.arrays import contents

N = 4
COLUMN = "float32 4"


def test_ids_are_guessed_in_an_order_and_named_by_a_flag():
    found = contents(name="text 4", specobjid="uint64 4", objid="int64 4", wide="int64 4 2")
    assert choose_id(found, None, N) == "objid"
    assert choose_id(found, "NAME", N) == "name"
    assert choose_id(contents(ra=COLUMN), None, N) is None
    with pytest.raises(UsageError, match=r"--id wide is no column of 4 ids: wide int64 \[4, 2\]"):
        choose_id(found, "wide", N)


def test_ids_are_the_same_in_further_tables_only():
    found = contents(a__objid="int64 4", b__OBJID="int64 4", a__obj_id="int64 4")
    assert same_ids(found, "a.objid") == ["b.OBJID"]
    assert same_ids(found, None) == []


def test_columns_travel_unless_they_are_used_or_have_a_name_of_the_table():
    found = contents(objid="int64 4", ra="float64 4", quality="int32 4", u=COLUMN, wide="int64 4 2", other="int64 9")
    kept, told = choose_columns(found, None, "objid", ["u"], N)
    assert kept == {"objid": "objid", "ra": "ra"}
    assert told == ["quality stays behind, since the table of predictions has a column of this name"]
    assert choose_columns(found, "none", "objid", ["u"], N)[0] == {"objid": "objid"}
    assert choose_columns(found, "RA", None, ["u"], N)[0] == {"ra": "ra"}
    with pytest.raises(UsageError, match=r"--columns dex: a\.file has no such array"):
        choose_columns(found, "ra,dex", None, (), N)
    with pytest.raises(UsageError, match=r"--columns wide is no column of 4 values: wide int64 \[4, 2\]"):
        choose_columns(found, "wide", None, (), N)


@pytest.mark.parametrize(("row", "travels"), [("int64 4", True), ("uint16 4", True), ("float64 4", False)])
def test_a_column_row_travels_if_it_can_number_rows(row: str, travels: bool):
    for dtype, goes in ((row, travels), ("text 4", False), ("uint64 4", False)):
        kept, told = choose_columns(contents(objid="int64 4", row=dtype), None, "objid", (), N)
        assert kept == {"objid": "objid"} | ({"row": "row"} if goes else {})
        why = "row stays behind, since the table of predictions has a column of this name"
        assert told == ([] if goes else [why])


@pytest.mark.parametrize("name", ["source", "row", "x" * 101])  # no catalogue is joined by `row`
def test_ids_whose_name_is_taken_are_refused(name: str):
    with pytest.raises(UsageError, match=f"--id {name} cannot travel, since .*: rename it in a.file$"):
        choose_columns(contents(**{name: "int64 4"}), None, name, (), N)


def test_columns_that_cannot_travel_are_listed():
    found = contents(objid="int64 4", observed="timestamp[us] 4", wide="int64 4 2", other="timestamp[us] 9")
    kept, told = choose_columns(found, None, "objid", (), N)
    assert kept == {"objid": "objid"}
    assert told == ["what holds neither numbers nor text stays behind: observed timestamp[us] [4]"]
    assert choose_columns(found, "objid", "objid", (), N)[1] == []
    assert choose_columns(contents(objid="int64 9", ra=COLUMN), None, None, (), N) == (
        {"ra": "ra"},
        ["no ids come from objid int64 [9], as 4 are needed"],
    )


def test_a_wide_catalogue_leaves_all_but_ids_and_positions():
    found = contents(**{f"column{n}": COLUMN for n in range(500)}, objid="int64 4", RA="float64 4", DEC="float64 4")
    kept, told = choose_columns(found, None, "objid", (), N)
    assert list(kept) == ["objid", "RA", "DEC"]
    assert told == ["500 of 503 columns stay behind; --columns names others"]
    with pytest.raises(UsageError, match="100 columns are to travel; 63 can"):
        choose_columns(found, ",".join(f"column{n}" for n in range(100)), None, (), N)


def test_columns_have_short_names_where_these_differ():
    found = contents(photo__objid="int64 4", spec__objid="int64 4", spec__snr=COLUMN)
    assert list(choose_columns(found, None, None, (), N)[0]) == ["photo.objid", "spec.objid", "snr"]
