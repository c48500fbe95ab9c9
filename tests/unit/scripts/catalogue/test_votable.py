import io

import numpy as np
import pyarrow as pa
import pytest
from astropy.io.votable import parse, validate
from astropy.table import Table

from scripts.catalogue import votable
from scripts.catalogue.table import Catalogue, Meaning
from tests.unit.scripts.catalogue.kinds import INTEGERS, every_kind
from tests.unit.scripts.catalogue.runs import FIRST_ID


def written(catalogue: Catalogue) -> bytes:
    out = io.BytesIO()
    votable.write_votable(catalogue, out)
    return out.getvalue()


def test_every_type_comes_back_with_its_gaps():
    table = Table.read(io.BytesIO(written(every_kind())), format="votable")
    for name in INTEGERS[:-1]:
        limits = np.iinfo(name)
        assert table[name].tolist() == [limits.min, 1, limits.max]
        assert table[f"{name}_gap"].tolist() == [limits.min, None, limits.max]
    assert table["uint64"].tolist() == ["0", "1", str(2**64 - 1)]  # VOTables have no such integers
    assert table["float32"].tolist() == [np.float32(0.1), np.inf, -np.inf]
    assert table["float64_gap"].tolist() == [0.1, None, None]
    assert (table["bool"].tolist(), table["bool_gap"].tolist()) == ([True, False, True], [True, None, False])
    assert table["text"].tolist() == ['a,"b"', "<&>", "x\ny"]  # XML has no way to write a control character
    assert table["letters"].tolist() == ["é", "日本", "a"]
    assert table["float32_pair"].tolist() == [[0, 1], [2, 3], [4, 5]]


def test_units_ucds_and_descriptions():
    table = parse(io.BytesIO(written(every_kind())), verify="ignore").get_first_table()
    field = table.get_field_by_id_or_name("float32")
    assert (str(field.unit), field.ucd, field.description.strip()) == ("mag", "phot.mag;em.opt.U", "A magnitude")
    assert table.description.strip() == "Everything & more."


@pytest.mark.parametrize("rows", [0, 1, 200_000])
def test_astropys_validator_finds_nothing(tmp_path, rows: int):
    table = pa.table(
        {"objid": FIRST_ID + np.arange(rows), "z": pa.array(np.full(rows, 0.5), mask=np.arange(rows) % 2 == 0)}
    )
    catalogue = Catalogue(table, {"objid": Meaning("", "meta.id;meta.main", "id")}, "A run.")
    (tmp_path / "c.vot").write_bytes(written(catalogue))
    report = io.StringIO()
    if rows < 1000:  # it takes a second for 1,000 rows
        assert validate(str(tmp_path / "c.vot"), output=report), report.getvalue()
    assert written(catalogue).count(b"<TR>") == rows


def test_small_uint64_are_integers_and_names_may_be_anything():
    catalogue = Catalogue(pa.table({"a b": pa.array([7], pa.uint64()), "a-b": [1], "2": [2], "é": [3]}))
    table = Table.read(io.BytesIO(written(catalogue)), format="votable", use_names_over_ids=True)
    assert (table["a b"].tolist(), table.colnames) == ([7], ["a b", "a-b", "2", "é"])


def test_what_xml_or_the_standard_does_not_have_does_no_harm():
    given = Meaning("'h:m:s'", "foo bar;;", "a\x00b & <c>")
    catalogue = Catalogue(pa.table({"a\x01": [1.0]}), {"a\x01": given}, "\x02 <&>")
    assert votable.meanings_in(io.BytesIO(written(catalogue))) == {"a": Meaning("'h:m:s'", "foo bar;;", "ab & <c>")}


@pytest.mark.parametrize("form", ["tabledata", "binary", "binary2"])
def test_votables_of_astropy_are_read(tmp_path, form: str):
    given = Table({"objid": [FIRST_ID, 2], "name": ["a", "bc"], "z": [0.5, np.nan]})
    given["z"].description = "a\n redshift"
    given.write(tmp_path / "c.vot", format="votable", tabledata_format=form)
    catalogue, notes = votable.read_votable(tmp_path / "c.vot")
    assert catalogue.table["objid"].to_pylist() == [FIRST_ID, 2]
    assert catalogue.table["name"].to_pylist() == ["a", "bc"]
    assert (catalogue.meaning("z").text, notes) == ("a redshift", [])


def test_a_file_without_a_table_is_refused(tmp_path):
    empty = b'<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"></VOTABLE>'
    (tmp_path / "c.vot").write_bytes(empty)
    with pytest.raises(ValueError, match="it holds no table"):
        votable.read_votable(tmp_path / "c.vot")
    assert votable.meanings_in(io.BytesIO(empty)) == {}
    assert votable.meanings_in(io.BytesIO(b"no XML")) == {}
