import io

import numpy as np
import pyarrow as pa
import pytest
from astropy.io import fits
from astropy.table import Table

from lambda_image.errors import InvalidEvent
from scripts.catalogue.table import Catalogue, Meaning
from scripts.catalogue.writing_fits import write_fits
from tests.unit.scripts.catalogue.kinds import INTEGERS, every_kind


def written(catalogue: Catalogue) -> tuple[Table, fits.Header, list[str]]:
    out = io.BytesIO()
    notes = write_fits(catalogue, out)
    out.seek(0)
    with fits.open(out) as units:
        units.verify("exception")
        return Table.read(units[1], character_as_bytes=False, unit_parse_strict="silent"), units[1].header, notes


def test_every_type_comes_back_with_its_gaps():
    table, _, notes = written(every_kind())
    for name in INTEGERS:
        limits = np.iinfo(name)
        assert table[name].tolist() == [limits.min, 1, limits.max]
        if name != "uint64":
            assert table[f"{name}_gap"].tolist() == [limits.min, None, limits.max]
    assert table["uint64_gap"].tolist() == ["0", "", str(2**64 - 1)]  # no integer of FITS has room for a null
    assert table["float32"].tolist() == [np.float32(0.1), np.inf, -np.inf]
    assert table["float64_gap"].tolist() == [0.1, None, None]
    assert (table["bool"].tolist(), table["bool_gap"].tolist()) == ([True, False, True], [1, None, 0])
    assert table["text_gap"].tolist() == ["", "", "abc"]
    assert table["uint16_pair"].tolist() == [[0, 1], [2, 3], [4, 5]]
    assert table["letters"].tolist() == ["?", "??", "a"]
    assert notes == ["letters of the column letters that are not ASCII became ?, as FITS has no others"]


def test_units_ucds_and_descriptions_are_in_the_header():
    given = every_kind()
    _, header, _ = written(given)
    number = given.table.column_names.index("float32") + 1
    said = [header[f"{key}{number}"] for key in ("TTYPE", "TUNIT", "TUCD", "TCOMM")]
    assert said == ["float32", "mag", "phot.mag;em.opt.U", "A magnitude"]
    assert (header["EXTNAME"], str(header["COMMENT"])) == ("PREDICTIONS", "Everything & more.")


def test_a_long_description_is_kept_whole():
    text = "word " * 60 + "end"
    _, header, _ = written(Catalogue(pa.table({"a": [1]}), {"a": Meaning("", "", text)}))
    assert header["TCOMM1"] == text


def test_what_stands_for_a_null_is_no_value():
    lowest = -(2**63)
    table, header, _ = written(Catalogue(pa.table({"id": [lowest, lowest + 1, None]})))
    assert table["id"].tolist() == [lowest, lowest + 1, None]
    assert header["TNULL1"] == lowest + 2


def test_an_empty_catalogue():
    table, _, _ = written(Catalogue(pa.table({"id": pa.array([], pa.int64()), "s": pa.array([], pa.string())})))
    assert (len(table), table.colnames) == (0, ["id", "s"])


@pytest.mark.filterwarnings("error")
def test_names_and_units_that_are_not_ascii():
    given = pa.table({"λ": [1.0], "δ": [2.0], "flux": [3.0], "odd": [4.0], "q0.16": [5.0]})
    meanings = {"flux": Meaning("µJy", "", "λ"), "odd": Meaning("µµ", "", "")}
    table, header, notes = written(Catalogue(given, meanings, "δ"))
    assert table.colnames == ["_", "__2", "flux", "odd", "q0.16"]
    assert (header["TUNIT3"], header["TCOMM3"], header["TUNIT4"], str(header["COMMENT"])) == ("uJy", "?", "??", "?")
    assert notes[1] == "the column δ is called __2, as FITS has no such name"


def test_more_columns_than_fits_has():
    with pytest.raises(InvalidEvent, match="FITS holds 999 columns, and there are 1,000"):
        written(Catalogue(pa.table({f"c{number}": [1] for number in range(1000)})))


def test_names_that_are_too_long_for_a_header_are_cut_and_stay_distinct():
    long = ["a" * 90 + end for end in "xy"]
    table, _, notes = written(Catalogue(pa.table({name: [1] for name in long})))
    assert table.colnames == ["a" * 60, "a" * 60 + "_2"]
    assert notes == [
        f"the column {old} is called {new}, as FITS has no such name"
        for old, new in zip(long, table.colnames, strict=True)
    ]
