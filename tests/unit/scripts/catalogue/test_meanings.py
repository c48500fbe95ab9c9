import pyarrow as pa
import pytest
from astropy.io.votable.ucd import check_ucd

from lambda_image.data.quality import UNPREDICTABLE, Quality
from lambda_image.errors import UsageError
from scripts.catalogue import meanings
from scripts.catalogue.table import Catalogue, Meaning

CALIBRATED = pa.table(
    {
        "objid": [1],
        **{name: pa.array([0.5], pa.float32()) for name in ("redshift", "redshift_err", "z_mode")},
        **{name: pa.array([0.5], pa.float32()) for name in ("q0.025", "q0.16", "q0.5", "q0.84", "q0.975")},
        "quality": [0],
    }
)
TABLE = pa.table(
    {
        "source": ["a"],
        "row": [0],
        "objid": [1],
        "specobjid": [2],
        "ra": [1.0],
        "DEC": [2.0],
        "note": ["x"],
        **{f"mag_{band}": [1.0] for band in "ugriz"},
        "redshift": [0.1],
        "redshift_true": [0.1],
        "quality": [0],
    }
)


def test_every_ucd_is_of_the_vocabulary():
    found = [*meanings.meanings_of(TABLE, "objid").values(), *meanings.meanings_of(CALIBRATED, "objid").values()]
    assert len(found) > 20
    for meaning in found:
        assert check_ucd(meaning.ucd, check_controlled_vocabulary=True), meaning


def test_the_columns_of_a_run():
    found = meanings.meanings_of(TABLE, "objid")
    assert found["redshift"].ucd == "src.redshift.phot"
    assert found["mag_u"] == Meaning("mag", "phot.mag;em.opt.U", "Magnitude in u as given")
    assert (found["ra"].unit, found["ra"].ucd, found["DEC"].ucd) == ("deg", "pos.eq.ra", "pos.eq.dec")
    assert (found["objid"].ucd, found["specobjid"].ucd) == ("meta.id;meta.main", "meta.id")
    assert "note" not in found


def test_the_description_of_quality_says_every_flag():
    text = meanings.meanings_of(TABLE, None)["quality"].text
    for flag in Quality:
        assert f"{flag.value} {flag.name.lower()}" in text
    without = {Quality(int(number)) for number in text.partition("no prediction with ")[2].split(", ")}
    assert without == {flag for flag in Quality if flag & UNPREDICTABLE}


def test_magnitudes_of_other_bands_are_numbered():
    table = pa.table({"mag_1": [20.0], "mag_12": [20.0], "mag_w1": [20.0]})
    assert meanings.user_columns(table.column_names) == ["mag_w1"]
    assert meanings.meanings_of(table, None) == dict.fromkeys(
        ("mag_1", "mag_12"), Meaning("mag", "phot.mag", "Magnitude as given")
    )


def test_what_a_file_says_is_not_guessed():
    known = {"ra": Meaning("rad", "", "alpha"), "objid": Meaning("", "meta.record", "")}
    found = meanings.guessed(TABLE.select(["ra", "objid", "specobjid"]), known, "objid")
    assert found["ra"] == Meaning("rad", "pos.eq.ra", "alpha")
    assert (found["objid"].ucd, found["specobjid"].ucd) == ("meta.record", "meta.id")
    known = {"specobjid": Meaning("", "meta.id;meta.main", "")}
    assert meanings.guessed(TABLE.select(["objid", "specobjid"]), known, "objid")["objid"].ucd == "meta.id"


def test_rubins_names():
    names = meanings.rubin_names(CALIBRATED.column_names, "cosmicai")
    assert names == {
        "redshift": "cosmicai_z_best",
        "redshift_err": "cosmicai_z_err",
        "z_mode": "cosmicai_z_mode",
        "q0.025": "cosmicai_z_err95_low",
        "q0.16": "cosmicai_z_err68_low",
        "q0.5": "cosmicai_z_median",
        "q0.84": "cosmicai_z_err68_high",
        "q0.975": "cosmicai_z_err95_high",
        "quality": "cosmicai_quality",
    }
    assert set(meanings.rubin_names(TABLE.column_names, "x")) == {"redshift", "quality"}


def test_a_quantile_of_the_user_is_not_one_of_the_run():
    table = CALIBRATED.append_column("q0.1", pa.array([7]))
    assert "q0.1" in meanings.id_columns(table.schema)
    assert "q0.1" not in meanings.meanings_of(table, "objid")
    assert "q0.1" in meanings.renamed(Catalogue(table), "x").table.column_names


def test_meanings_follow_the_names():
    named = meanings.renamed(Catalogue(TABLE, meanings.meanings_of(TABLE, "objid")), "x")
    assert named.meaning("x_z_best").ucd == "src.redshift.phot"
    assert named.table.column_names[-3:] == ["x_z_best", "redshift_true", "x_quality"]


def test_a_column_of_the_user_keeps_its_name():
    table = TABLE.append_column("X_z_best", pa.array([1.0]))
    with pytest.raises(UsageError, match="there is a column x_z_best already: give another --prefix"):
        meanings.renamed(Catalogue(table), "x")


def test_a_standard_deviation_gives_an_interval_where_there_are_no_quantiles():
    table = meanings.with_interval(pa.table({"redshift": [0.5, None], "redshift_err": [0.125, 0.1], "quality": [0, 4]}))
    assert table.column_names[2:4] == ["redshift_err68_low", "redshift_err68_high"]
    assert (table.column(2).to_pylist(), table.column(3).to_pylist()) == ([0.375, None], [0.625, None])
    assert meanings.rubin_names(table.column_names, "x")["redshift_err68_low"] == "x_z_err68_low"
    for without in (CALIBRATED, TABLE):
        assert meanings.with_interval(without) is without


@pytest.mark.parametrize("table", [TABLE, CALIBRATED])
def test_a_join_needs_what_was_computed_and_ids(table: pa.Table):
    chosen = meanings.columns_to_join(table.schema)
    assert "ra" not in chosen
    assert {"objid", "redshift", "quality"} <= set(chosen)
    assert not {"source", "mag_u", "redshift_true"} & set(chosen)
