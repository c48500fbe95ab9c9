import gzip
import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pytest
from astropy.table import Table
from pyarrow import parquet

from lambda_image.errors import UsageError
from scripts.catalogue.table import Catalogue, Meaning
from scripts.catalogue.writing import WRITERS, check_out, write_catalogue
from tests.unit.scripts.catalogue.kinds import INTEGERS, every_kind
from tests.unit.scripts.catalogue.runs import FIRST_ID

CATALOGUE = Catalogue(
    pa.table({"objid": [FIRST_ID, None], "redshift": pa.array([0.1, None], pa.float32()), "name": ['a"', None]}),
    {"objid": Meaning("", "meta.id;meta.main", "id"), "redshift": Meaning("", "src.redshift.phot", "z")},
    "A run.",
)


def test_csv(tmp_path: Path):
    assert write_catalogue(CATALOGUE, tmp_path / "c.csv") == []
    assert (tmp_path / "c.csv").read_text() == f'"objid","redshift","name"\n{FIRST_ID},0.1,"a"""\n,,\n'


def test_csv_has_no_lists_and_says_so(tmp_path: Path):
    notes = write_catalogue(every_kind(), tmp_path / "c.csv")
    assert [note.split(",")[0] for note in notes] == [
        f"the column {name}_pair is left out" for name in ("float32", "int32", "uint16")
    ]


def test_ecsv_keeps_types_and_meanings(tmp_path: Path):
    given = every_kind()
    write_catalogue(given, tmp_path / "c.ecsv")
    table = Table.read(tmp_path / "c.ecsv")
    for name in (*INTEGERS, *(f"{name}_gap" for name in INTEGERS), "bool", "bool_gap", "text", "letters"):
        assert table[name].tolist() == given.table[name].to_pylist(), name
    assert [str(table[name].dtype) for name in INTEGERS] == list(INTEGERS)
    assert (str(table["float32"].unit), table["float32"].meta["ucd"]) == ("mag", "phot.mag;em.opt.U")
    assert (table["float32"].description, table.meta["comments"]) == ("A magnitude", ["Everything & more."])


def test_parquet_keeps_every_type(tmp_path: Path):
    table = every_kind().table.append_column("list", pa.array([[1], [], None]))
    assert write_catalogue(Catalogue(table), tmp_path / "c.parquet") == []
    found = parquet.read_table(tmp_path / "c.parquet")
    assert (found.schema, str(found.to_pydict())) == (table.schema, str(table.to_pydict()))


def test_parquet_says_what_columns_mean_as_voparquet_does(tmp_path: Path):
    whole = Catalogue(CATALOGUE.table.select(["redshift"]).slice(0, 1), CATALOGUE.meanings, "A run.")
    write_catalogue(whole, tmp_path / "c.parquet")
    table = Table.read(tmp_path / "c.parquet", format="parquet.votable")
    assert (table["redshift"].meta["ucd"], table["redshift"].description) == ("src.redshift.phot", "z")


def test_parquet_tells_pandas_which_integers_have_gaps(tmp_path: Path):
    write_catalogue(CATALOGUE, tmp_path / "c.parquet")
    described = json.loads(parquet.read_schema(tmp_path / "c.parquet").metadata[b"pandas"])
    assert [(column["name"], column["numpy_type"]) for column in described["columns"]] == [("objid", "Int64")]


@pytest.mark.parametrize("kind", ["csv", "ecsv", "fits", "vot"])
def test_compressed_is_the_same_content(tmp_path: Path, kind: str):
    for name in (f"c.{kind}", f"c.{kind}.gz"):
        write_catalogue(CATALOGUE, tmp_path / name)
    assert gzip.decompress((tmp_path / f"c.{kind}.gz").read_bytes()) == (tmp_path / f"c.{kind}").read_bytes()


@contextmanager
def files_limited_to(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("kind", [*WRITERS, ".csv.gz"])
def test_nothing_stays_of_a_file_that_could_not_be_written(tmp_path: Path, kind: str):
    (tmp_path / f"c{kind}").write_bytes(b"before")
    with pytest.raises(OSError, match="File too large"), files_limited_to(40):
        write_catalogue(CATALOGUE, tmp_path / f"c{kind}")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {f"c{kind}": b"before"}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("c.txt", "must end in .csv"),
        ("c", "must end in"),
        ("c.parquet.gz", "must end in"),
        ("folder.csv", "is a folder"),
        ("nowhere/c.csv", "in a folder that does not exist"),
        ("there.csv", "exists: name another file, or give --overwrite"),
    ],
)
def test_what_cannot_be_written_is_refused_first(tmp_path: Path, name: str, words: str):
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "there.csv").touch()
    with pytest.raises(UsageError, match=words):
        check_out(tmp_path / name, overwrite=False)
    check_out(tmp_path / "there.csv", overwrite=True)
    check_out(tmp_path / "C.FITS.GZ", overwrite=False)
