from pathlib import Path

import pyarrow as pa
import pytest
from astropy.table import Table
from astropy.time import Time
from pyarrow import parquet

from lambda_image.errors import InvalidEvent, UsageError
from scripts.catalogue.reading import format_of, read_catalogue
from scripts.catalogue.table import Catalogue, Meaning
from scripts.catalogue.writing import write_catalogue
from tests.unit.scripts.catalogue.runs import FIRST_ID

KINDS = ("csv", "ecsv", "fits", "vot", "parquet", "csv.gz", "fits.gz", "vot.gz")
CATALOGUE = Catalogue(
    pa.table({"objid": [FIRST_ID, FIRST_ID + 1, 3], "name": ["a", "b&<c>", "d"], "z": [0.25, None, 0.5]}),
    {"z": Meaning("", "src.redshift.phot", "its redshift"), "name": Meaning("", "meta.id", "")},
)


@pytest.mark.parametrize(
    ("name", "kind"), [("a.csv", ".csv"), ("A.CSV.GZ", ".csv"), ("a.b.fits", ".fits"), ("a", ""), ("a.gz", "")]
)
def test_the_format_by_the_name(name: str, kind: str):
    assert format_of(Path(name)) == kind


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_written_is_read_again(tmp_path: Path, kind: str):
    path = tmp_path / f"c.{kind}"
    assert write_catalogue(CATALOGUE, path) == []
    catalogue, notes = read_catalogue(path)
    assert notes == []
    assert catalogue.table["objid"].to_pylist() == [FIRST_ID, FIRST_ID + 1, 3]
    assert catalogue.table["name"].to_pylist() == ["a", "b&<c>", "d"]
    z = catalogue.table["z"].to_pylist()
    assert (z[0], z[2]) == (0.25, 0.5)
    assert z[1] is None or z[1] != z[1]
    if "csv" not in kind.split("."):
        assert catalogue.meaning("z") == Meaning("", "src.redshift.phot", "its redshift")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("content", [b"", b"\x00\xff\x1b[31m" * 500])
def test_a_file_of_another_kind_is_refused_in_one_line(tmp_path: Path, kind: str, content: bytes):
    path = tmp_path / f"c.{kind}"
    path.write_bytes(content)
    with pytest.raises(InvalidEvent, match=r"--catalogue .*c\..* cannot be read: ") as refused:
        read_catalogue(path)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("kind", ["fits", "vot", "parquet", "csv.gz", "fits.gz", "vot.gz"])
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, kind: str):
    path = tmp_path / f"c.{kind}"
    write_catalogue(Catalogue(pa.table({"id": list(range(20_000))})), path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InvalidEvent, match="--catalogue"):
        read_catalogue(path)


def test_names_that_differ_by_case_alone_are_told_apart(tmp_path: Path):
    parquet.write_table(pa.table({"ra": [1.0], "RA": [2.0]}), tmp_path / "c.parquet")
    catalogue, notes = read_catalogue(tmp_path / "c.parquet")
    assert catalogue.table.to_pydict() == {"ra": [1.0], "RA_2": [2.0]}
    assert notes == ["a further column RA of the catalogue is called RA_2"]


def test_an_ecsv_file_with_times(tmp_path: Path):
    table = Table({"id": [FIRST_ID], "t": Time(["2020-01-01"]), "ra": [1.0]})
    table["ra"].unit = "deg"
    table.write(tmp_path / "c.ecsv")
    catalogue, notes = read_catalogue(tmp_path / "c.ecsv")
    assert (catalogue.table["id"].to_pylist(), catalogue.meaning("ra").unit) == ([FIRST_ID], "deg")
    assert notes == ["the column t of the catalogue is left out, as its values are no numbers or text"]


def test_parquet_without_a_votable_and_with_a_broken_one(tmp_path: Path):
    for header in ({}, {b"IVOA.VOTable-Parquet.content": b"<VOTABLE>"}):
        parquet.write_table(pa.table({"id": [1]}).replace_schema_metadata(header), tmp_path / "c.parquet")
        assert read_catalogue(tmp_path / "c.parquet")[0].meanings == {}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("c.txt", "must end in .csv"),
        ("nothing.csv", "does not exist"),
        ("folder.csv", "is a folder"),
    ],
)
def test_a_wrong_name_is_refused(tmp_path: Path, name: str, words: str):
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(UsageError, match=words):
        read_catalogue(tmp_path / name)


def test_a_table_without_columns_is_refused(tmp_path: Path):
    parquet.write_table(pa.table({}), tmp_path / "c.parquet")
    with pytest.raises(InvalidEvent, match="has no columns"):
        read_catalogue(tmp_path / "c.parquet")


@pytest.mark.parametrize("kind", KINDS)
def test_a_column_without_a_name_gets_one(tmp_path: Path, kind: str):
    (tmp_path / "pandas.csv").write_text(f",objid\n0,{FIRST_ID}\n1,{FIRST_ID + 1}\n")
    catalogue, notes = read_catalogue(tmp_path / "pandas.csv")
    assert notes == ["a column without a name of the catalogue is called index"]
    write_catalogue(catalogue, tmp_path / f"c.{kind}")
    assert read_catalogue(tmp_path / f"c.{kind}")[0].table.column_names == ["index", "objid"]
