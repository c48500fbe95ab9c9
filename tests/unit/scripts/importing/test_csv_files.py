import gzip

import numpy as np
import pyarrow as pa
import pytest
from astropy.table import Table
from pyarrow import csv

from lambda_image.errors import PartitionMalformed
from scripts.catalogue.reading_csv import MISSING
from scripts.importing import csv_files
from scripts.importing.contents import as_numbers
from scripts.importing.csv_files import open_csv


def test_a_table_of_pyarrow(tmp_path):
    table = pa.table({"objid": [10**17, 10**17 + 1], "ra": [1.5, 2.5], "word": ["a,b", "ü"], "flag": [True, False]})
    csv.write_csv(table, tmp_path / "a.csv")
    arrays = open_csv(tmp_path / "a.csv").arrays
    assert [column.dtype for column in arrays.values()] == ["int64", "float64", "text", "bool"]
    for name, column in arrays.items():
        got = [value.decode() if isinstance(value, bytes) else value for value in column.read(0, 2).tolist()]
        assert got == table[name].to_pylist()


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (["1237648720693755918", "-9223372036854775808"], "int64"),
        (["18446744073709551615", "1237648720693755918"], "uint64"),
        (["184467440737095516150", "1"], "text"),  # more than 64 bits hold: no digit is lost
        (["1234567890123456789.5", "1"], "float64"),
        (["12345678901234567", "1.5"], "text"),  # as a float64 the first would be another id
        (["000123", "000124"], "text"),
        (["0", "-1"], "int64"),
        (["0", "1"], "int64"),
        (["1", "", "3"], "int64"),
        (["1.5", "nan", "-9999"], "float64"),
        (["1e-3", "inf"], "float64"),
        (["true", "false"], "bool"),
        (["12h", "1"], "text"),
        (["", ""], "float64"),
    ],
)
def test_a_type_holds_for_all_rows_and_rounds_no_id(tmp_path, values, dtype):
    (tmp_path / "a.csv").write_text("x,y\n" + "".join(f"{value},1\n" for value in values))
    column = open_csv(tmp_path / "a.csv").arrays["x"]
    rows = column.read(0, len(values))
    assert column.dtype == dtype
    if dtype in ("int64", "uint64"):
        got = [None if masked else str(value) for value, masked in zip(rows.data.tolist() if np.ma.isMA(rows) else
               rows.tolist(), np.ma.getmaskarray(rows), strict=True)]  # fmt: skip
        assert got == [value or None for value in values]
    elif dtype == "text":
        assert [value.decode() for value in rows.tolist()] == values
    elif dtype == "float64":
        np.testing.assert_array_equal(as_numbers(rows), [float(value or "nan") for value in values])


def test_a_later_block_may_change_the_type(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_files, "BLOCK_BYTES", 64)
    lines = [f"{row},{row}" for row in range(100)] + ["x100,100.5"]
    (tmp_path / "a.csv").write_text("\n".join(["name,z", *lines]) + "\n")
    arrays = open_csv(tmp_path / "a.csv").arrays
    assert [(column.dtype, column.shape) for column in arrays.values()] == [("text", (101,)), ("float64", (101,))]
    assert arrays["name"].read(98, 101).tolist() == [b"98", b"99", b"x100"]
    assert arrays["z"].read(0, 2).tolist() == [0, 1]


@pytest.mark.parametrize(
    "text",
    [
        "#Table1\nobjid,u\n1,2.5\n3,4.5\n",  # SDSS CasJobs
        "objid\tu\n1\t2.5\n3\t4.5\n",
        "objid;u\n1;2.5\n3;4.5\n",
        "# objid u\n1 2.5\n3 4.5\n",
        "\ufeffobjid,u\n1,2.5\n3,4.5\n",
        '"objid","u"\r\n1,2.5\r\n3,4.5\r\n',
    ],
)
def test_layouts_of_the_field(tmp_path, text):
    (tmp_path / "a.csv").write_text(text, encoding="utf-8", newline="")
    arrays = open_csv(tmp_path / "a.csv").arrays
    assert {name: column.read(0, 2).tolist() for name, column in arrays.items()} == {"objid": [1, 3], "u": [2.5, 4.5]}


def test_a_table_of_astropy_and_one_that_is_packed(tmp_path):
    Table({"objid": [10**17, 10**17 + 1], "word": ["a b", "c"]}).write(tmp_path / "a.ecsv")
    with gzip.open(tmp_path / "b.csv.gz", "wt") as packed:
        packed.write(f"objid,word\n{10**17},a b\n{10**17 + 1},c\n")
    for name in ("a.ecsv", "b.csv.gz"):
        arrays = open_csv(tmp_path / name).arrays
        assert arrays["objid"].read(0, 2).tolist() == [10**17, 10**17 + 1]
        assert arrays["word"].read(0, 2).tolist() == [b"a b", b"c"]


def test_names_may_hold_the_delimiter_and_the_first_may_be_empty(tmp_path):
    (tmp_path / "a.csv").write_text(',"name, IAU",u\n0,"J1, x",2.5\n1,"J2, y",4.5\n')
    arrays = open_csv(tmp_path / "a.csv").arrays
    assert {name: column.read(0, 2).tolist() for name, column in arrays.items()} == {
        "index": [0, 1],
        "name, IAU": [b"J1, x", b"J2, y"],
        "u": [2.5, 4.5],
    }


def test_columns_that_are_aligned_by_blanks_are_refused_in_words(tmp_path):
    (tmp_path / "a.txt").write_text("objid   u\n1       2.5\n3       4.5\n")
    with pytest.raises(PartitionMalformed, match=r"a\.txt cannot be read as CSV: its columns are aligned by several"):
        open_csv(tmp_path / "a.txt")


def test_decimal_commas_are_refused_in_words_and_other_texts_are_not(tmp_path):
    (tmp_path / "a.csv").write_text("objid;u;word\n1;18,5;2,5\n2;1,85e1;a,b\n")
    with pytest.raises(PartitionMalformed, match=r"a\.csv cannot be read as CSV: u has decimal commas: save it with"):
        open_csv(tmp_path / "a.csv")
    (tmp_path / "b.csv").write_text("objid;word\n1;2,5\n2;a,b\n")
    assert open_csv(tmp_path / "b.csv").arrays["word"].read(0, 2).tolist() == [b"2,5", b"a,b"]


@pytest.mark.parametrize("missing", MISSING)
def test_numbers_may_be_missing(tmp_path, missing):
    (tmp_path / "a.csv").write_text(f"objid,u\n1,{missing}\n{missing},2.5\n")
    arrays = open_csv(tmp_path / "a.csv").arrays
    assert [(column.dtype, *np.ma.getmaskarray(column.read(0, 2))) for column in arrays.values()] == [
        ("int64", False, True),
        ("float64", True, False),
    ]


@pytest.mark.parametrize("text", ["a,a\n1,2\n", "# only\n# comments\n", "a,b\n1,2\n1,2,3\n"])
def test_what_is_no_table_is_refused(tmp_path, text):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(PartitionMalformed, match=r"a\.csv cannot be read as CSV"):
        open_csv(tmp_path / "a.csv")


def test_a_text_may_have_several_lines(tmp_path):
    (tmp_path / "a.csv").write_text('objid,note\n1,"a\nb"\n2,c\n')
    arrays = open_csv(tmp_path / "a.csv").arrays
    assert arrays["note"].read(0, 2).tolist() == [b"a\nb", b"c"]
