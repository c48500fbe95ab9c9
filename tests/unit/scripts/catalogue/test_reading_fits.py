from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from astropy.io import fits
from astropy.table import MaskedColumn, Table

from lambda_image.errors import InvalidEvent
from scripts.catalogue.reading_fits import read_fits
from scripts.catalogue.table import Meaning
from tests.unit.scripts.catalogue.runs import FIRST_ID


def columns(**given: tuple[str, object]) -> fits.BinTableHDU:
    return fits.BinTableHDU.from_columns(
        [fits.Column(name, form, array=array) for name, (form, array) in given.items()]
    )


def write(path: Path, *units: fits.BinTableHDU | fits.ImageHDU | fits.CompImageHDU) -> Path:
    fits.HDUList([fits.PrimaryHDU(), *units]).writeto(path)
    return path


def test_big_endian_numbers_and_padded_texts(tmp_path: Path):
    unit = columns(
        OBJID=("K", np.array([FIRST_ID, -1])),
        NAME=("8A", ["NGC 1  ", " x"]),
        Z=("E", [0.5, np.nan]),
        OK=("L", [True, False]),
    )
    table = read_fits(write(tmp_path / "c.fits", unit))[0].table
    assert table["OBJID"].to_pylist() == [FIRST_ID, -1]
    assert table["NAME"].to_pylist() == ["NGC 1", " x"]
    assert (table["Z"].to_pylist()[0], table["OK"].to_pylist()) == (0.5, [True, False])


def test_unsigned_and_missing_integers(tmp_path: Path):
    unit = fits.BinTableHDU.from_columns(
        [
            fits.Column("U", "K", bzero=2**63, array=np.array([2**64 - 1, 0], np.uint64)),
            fits.Column("N", "J", null=-99, array=np.array([-99, 5], np.int32)),
        ]
    )
    table = read_fits(write(tmp_path / "c.fits", unit))[0].table
    assert table.to_pydict() == {"U": [2**64 - 1, 0], "N": [None, 5]}


def test_a_table_as_astropy_writes_it(tmp_path: Path):
    given = Table({"id": MaskedColumn([FIRST_ID, 2], mask=[False, True]), "v": np.arange(4.0).reshape(2, 2)})
    given["v"].unit, given["v"].description = "Jy", "fluxes"
    given.write(tmp_path / "c.fits")
    catalogue, notes = read_fits(tmp_path / "c.fits")
    assert catalogue.table.to_pydict() == {"id": [FIRST_ID, None], "v": [[0.0, 1.0], [2.0, 3.0]]}
    assert notes == []


def test_units_ucds_and_descriptions_are_kept(tmp_path: Path):
    unit = columns(A=("D", [1.0]), RA=("D", [1.0]))
    for key, said in (("TUNIT2", "deg"), ("TUCD2", "pos.eq.ra;meta.main"), ("TCOMM2", "right ascension")):
        unit.header[key] = said
    catalogue, _ = read_fits(write(tmp_path / "c.fits", unit))
    assert catalogue.meaning("RA") == Meaning("deg", "pos.eq.ra;meta.main", "right ascension")
    assert catalogue.meaning("A") == Meaning()


def test_the_longest_table_is_read_and_images_are_not(tmp_path: Path):
    image = np.arange(400, dtype=np.int16).reshape(20, 20)
    head, objects = columns(CARD=("8A", ["x"])), columns(NUMBER=("J", [1, 2, 3]))
    objects.name = "LDAC_OBJECTS"
    path = write(tmp_path / "c.fits", fits.CompImageHDU(image), fits.ImageHDU(image), head, objects)
    catalogue, notes = read_fits(path)
    assert catalogue.table.to_pydict() == {"NUMBER": [1, 2, 3]}
    assert notes == ["the longest of 2 tables of c.fits is read (LDAC_OBJECTS)"]


def test_columns_without_a_plain_type_are_named(tmp_path: Path):
    unit = columns(id=("J", [1, 2]), spectrum=("PE()", np.array([[1.0], [1.0, 2.0]], object)), c=("C", [1j, 2j]))
    catalogue, notes = read_fits(write(tmp_path / "c.fits", unit))
    assert catalogue.table.column_names == ["id"]
    assert [note.split(" is left out")[0] for note in notes] == [
        f"the column {name} of the catalogue" for name in ("spectrum", "c")
    ]


def test_text_that_is_not_ascii_is_read(tmp_path: Path):
    unit = columns(name=("4A", np.array(["é".encode("latin-1"), b"ab"])))
    assert read_fits(write(tmp_path / "c.fits", unit))[0].table["name"].to_pylist() == ["é", "ab"]


def test_an_empty_table(tmp_path: Path):
    table = read_fits(write(tmp_path / "c.fits", columns(id=("K", []), s=("3A", []))))[0].table
    assert (table.num_rows, table.schema.field("id").type) == (0, pa.int64())


def test_images_alone_are_refused(tmp_path: Path):
    with pytest.raises(InvalidEvent, match=r"c\.fits has no table: it holds images alone"):
        read_fits(write(tmp_path / "c.fits", fits.ImageHDU(np.zeros((2, 2)))))


def test_a_file_that_is_cut_off_is_refused(tmp_path: Path):
    path = write(tmp_path / "c.fits", columns(id=("K", np.arange(5000))))
    path.write_bytes(path.read_bytes()[:20_000])
    with pytest.raises(UserWarning, match="truncated"):
        read_fits(path)
