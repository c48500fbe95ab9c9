from pathlib import Path

import pyarrow as pa
import pytest

from scripts.catalogue.reading_csv import read_csv
from tests.unit.scripts.catalogue.runs import FIRST_ID


def read(tmp_path: Path, text: str, name: str = "c.csv") -> pa.Table:
    (tmp_path / name).write_text(text)
    return read_csv(tmp_path / name)[0].table


def test_ids_keep_every_digit_and_missing_numbers_are_null(tmp_path: Path):
    table = read(tmp_path, f"objid,big,z\n{FIRST_ID},{2**64 - 1},0.5\n,NaN,nan\nNULL,1,NA\n")
    assert table.to_pydict() == {"objid": [FIRST_ID, None, None], "big": [2**64 - 1, None, 1], "z": [0.5, None, None]}
    assert table.schema.types == [pa.int64(), pa.uint64(), pa.float64()]


def test_what_a_number_would_not_give_back_stays_text(tmp_path: Path):
    table = read(tmp_path, f"zeros,long,mixed\n007,{FIRST_ID}0000,1\n123,1,x\n")
    assert table.to_pydict() == {"zeros": ["007", "123"], "long": [f"{FIRST_ID}0000", "1"], "mixed": ["1", "x"]}


def test_a_text_may_read_like_a_missing_number(tmp_path: Path):
    assert read(tmp_path, "name,n\nNA,NA\nx,1\n,2\n").to_pydict() == {"name": ["NA", "x", None], "n": [None, 1, 2]}


def test_blanks_around_fields_do_not_count(tmp_path: Path):
    assert read(tmp_path, " objid , z \n 7 , 1.5 \n").to_pydict() == {"objid": [7], "z": [1.5]}


def test_quotes_hold_commas_and_lines(tmp_path: Path):
    assert read(tmp_path, 'a,b\n"x, ""y""","1\n2"\n').to_pydict() == {"a": ['x, "y"'], "b": ["1\n2"]}


@pytest.mark.parametrize("sign", ["\t", ";", "|", ","])
def test_other_signs_between_fields(tmp_path: Path, sign: str):
    assert read(tmp_path, f"a{sign}b\n1{sign}2\n").to_pydict() == {"a": [1], "b": [2]}


@pytest.mark.parametrize("head", ["#Table1\n", "# made by hand\n# twice\n\n", "\ufeff"])
def test_what_stands_before_the_header_is_skipped(tmp_path: Path, head: str):
    assert read(tmp_path, f"{head}objid,z\n7,1\n").to_pydict() == {"objid": [7], "z": [1]}


def test_a_header_may_be_a_comment(tmp_path: Path):
    assert read(tmp_path, "# objid,z\n7,1\n").to_pydict() == {"objid": [7], "z": [1]}


def test_columns_of_one_name_are_told_apart(tmp_path: Path):
    assert read(tmp_path, "a,a\n1,2\n").to_pydict() == {"a": [1], "a_2": [2]}


def test_a_header_alone_is_an_empty_catalogue(tmp_path: Path):
    table = read(tmp_path, "objid,z\n")
    assert (table.num_rows, table.column_names) == (0, ["objid", "z"])


@pytest.mark.parametrize("text", ["", "\n\n", "# comment\n"])
def test_no_header_is_refused(tmp_path: Path, text: str):
    with pytest.raises(ValueError, match="without even a header"):
        read(tmp_path, text)


def test_a_row_of_other_fields_is_refused(tmp_path: Path):
    with pytest.raises(pa.ArrowInvalid, match="Expected 2 columns, got 3"):
        read(tmp_path, "a,b\n1,2\n1,2,3\n")


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_text_in_another_encoding_is_refused_with_what_to_do(tmp_path: Path, encoding: str):
    (tmp_path / "a.csv").write_text("objid,name\n1,Ångström\n", encoding=encoding)
    with pytest.raises(ValueError, match="its text is not UTF-8: save it as CSV in UTF-8"):
        read_csv(tmp_path / "a.csv")
