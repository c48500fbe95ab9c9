import json
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from astropy.table import Table
from pyarrow import csv, parquet

from lambda_image.data.predictions import Predictions
from lambda_image.errors import InvalidEvent, UsageError
from scripts import results
from tests.unit.lambda_image.judged import summarise
from tests.unit.lambda_image.test_results import manifest, record
from tests.unit.lambda_image.test_summary import predictions as judged
from tests.unit.scripts.catalogue.runs import FIRST_ID, predictions, run_folder, write_distributions
from tests.unit.scripts.flags import run_command

run = partial(run_command, results)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return run_folder(tmp_path / "run", predictions(6))


def catalogue(path: Path, **columns: object) -> Path:
    """A CSV of three galaxies of the run, in another order, and one that it does not have."""
    given = {"OBJID": [FIRST_ID + 3, 5, FIRST_ID, FIRST_ID + 2], "redshift": [0.3, 0.5, 0.1, 0.2], **columns}
    csv.write_csv(pa.table(given), path)
    return path


@pytest.mark.parametrize("kind", ["csv", "ecsv", "fits", "fits.gz", "vot", "xml", "parquet"])
def test_predictions_alone(out: Path, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]):
    assert run(out, "--out", tmp_path / f"p.{kind}") == 0
    assert capsys.readouterr().out == f"6 rows of 11 columns in {tmp_path}/p.{kind}\n"
    format_ = {"fits.gz": "fits", "vot": "votable", "xml": "votable"}.get(kind, kind.replace("ecsv", "ascii.ecsv"))
    table = Table.read(tmp_path / f"p.{kind}", format=format_)
    assert table["objid"].tolist() == [FIRST_ID + row for row in range(6)]
    assert np.ma.getmaskarray(np.ma.masked_invalid(table["redshift"])).tolist() == [False, False, True] * 2
    assert table["quality"].tolist() == [0, 0, 4] * 2


def test_units_and_ucds(out: Path, tmp_path: Path):
    assert run(out, "--out", tmp_path / "p.vot") == 0
    table = Table.read(tmp_path / "p.vot")
    assert {name: table[name].meta.get("ucd") for name in ("objid", "redshift", "mag_z", "quality")} == {
        "objid": "meta.id;meta.main",
        "redshift": "src.redshift.phot",
        "mag_z": "phot.mag;em.opt.I",
        "quality": "meta.code.qual",
    }
    assert str(table["mag_u"].unit) == "mag"
    assert "4 magnitude_bad" in " ".join(table["quality"].description.split())


def test_a_catalogue_gets_the_predictions(out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    given = catalogue(tmp_path / "mine.csv")
    assert run(out, "--catalogue", given, "--out", tmp_path / "p.parquet") == 0
    found = parquet.read_table(tmp_path / "p.parquet")
    run_table = parquet.read_table(out / "predictions.parquet")["redshift"].to_pylist()
    assert found.to_pydict() == {
        "OBJID": [FIRST_ID + 3, 5, FIRST_ID, FIRST_ID + 2],
        "redshift": [0.3, 0.5, 0.1, 0.2],
        "cosmicai_redshift": [run_table[3], None, run_table[0], None],
        "quality": [0, None, 0, 4],
    }
    assert capsys.readouterr().out.splitlines()[:3] == [
        "joined by OBJID = objid: 3 of 4 rows of the catalogue are in the run",
        "3 predictions in no row of the catalogue",
        "redshift is called cosmicai_redshift, because the catalogue has a column of that name",
    ]


def test_rubins_names_and_rows_that_match(out: Path, tmp_path: Path):
    given = catalogue(tmp_path / "mine.csv")
    flags = ("--prefix", "run1", "--only-matched", "--id", "objid")
    assert run(out, "--catalogue", given, *flags, "--out", tmp_path / "p.fits") == 0
    table = Table.read(tmp_path / "p.fits")
    assert (len(table), table.colnames) == (3, ["OBJID", "redshift", "run1_z_best", "run1_quality"])
    assert run(out, "--prefix", "run1", "--out", tmp_path / "alone.fits") == 0
    assert {"objid", "mag_u", "run1_z_best", "redshift_true"} <= set(Table.read(tmp_path / "alone.fits").colnames)


def test_error_columns_appear_where_a_run_has_errors(out: Path, tmp_path: Path):
    table = parquet.read_table(out / "predictions.parquet")
    calibrated = table.append_column("redshift_err", pa.array([0.25] * 6, pa.float32()))
    parquet.write_table(calibrated, out / "predictions.parquet")
    given = catalogue(tmp_path / "mine.csv")
    assert run(out, "--catalogue", given, "--out", tmp_path / "p.vot") == 0
    assert Table.read(tmp_path / "p.vot")["redshift_err"].meta["ucd"] == "stat.error;src.redshift.phot"
    assert run(out, "--catalogue", given, "--prefix", "x", "--out", tmp_path / "p.parquet") == 0
    found = parquet.read_table(tmp_path / "p.parquet")
    assert found.column_names[2:] == ["x_z_best", "x_quality", "x_z_err", "x_z_err68_low", "x_z_err68_high"]
    assert found["x_z_err68_high"][0].as_py() == np.float32(found["x_z_best"][0].as_py()) + np.float32(0.25)


@pytest.mark.parametrize("kind", ["csv", "ecsv", "fits", "vot", "parquet"])
def test_modes_and_bounds_are_in_every_format_where_a_run_has_distributions(out: Path, tmp_path: Path, kind: str):
    part = predictions(6)
    write_distributions(out, 0, part)
    assert run(out, "--out", tmp_path / f"p.{kind}") == 0
    format_ = {"vot": "votable", "ecsv": "ascii.ecsv"}.get(kind, kind)
    table = Table.read(tmp_path / f"p.{kind}", format=format_)
    modes = np.ma.filled(np.ma.asarray(table["z_mode"], np.float32), np.nan)
    np.testing.assert_allclose(modes, part.redshift + 0.05, rtol=1e-6)
    given = catalogue(tmp_path / "mine.csv")
    assert run(out, "--catalogue", given, "--prefix", "x", "--out", tmp_path / f"joined.{kind}") == 0
    joined = Table.read(tmp_path / f"joined.{kind}", format=format_)
    bounds = ("err95_low", "err68_low", "median", "err68_high", "err95_high")
    added = [f"x_{name}" for name in ("z_best", "z_mode", *(f"z_{bound}" for bound in bounds), "quality")]
    assert joined.colnames == ["OBJID", "redshift", *added]


def test_what_was_written_is_told_as_json(out: Path, tmp_path: Path):
    given = catalogue(tmp_path / "mine.csv")
    assert run(out, "--catalogue", given, "--out", tmp_path / "p.csv", "--json", tmp_path / "p.json") == 0
    told = json.loads((tmp_path / "p.json").read_text())
    assert (told["out"], told["rows"]) == (str(tmp_path / "p.csv"), 4)
    assert told["columns"] == ["OBJID", "redshift", "cosmicai_redshift", "quality"]
    assert told["said"][0].startswith("joined by OBJID = objid: 3 of 4 rows")
    with pytest.raises(UsageError, match="among the results of the run"):
        run(out, "--json", out / "figures.json")


def test_an_existing_file_is_kept_unless_it_may_be_replaced(out: Path, tmp_path: Path):
    (tmp_path / "p.csv").write_text("mine")
    with pytest.raises(UsageError, match="exists"):
        run(out, "--out", tmp_path / "p.csv")
    assert (tmp_path / "p.csv").read_text() == "mine"
    assert run(out, "--out", tmp_path / "p.csv", "--overwrite") == 0
    assert (tmp_path / "p.csv").read_text().startswith('"source"')


def test_the_results_of_a_run_are_not_written_over(out: Path):
    before = (out / "predictions.parquet").read_bytes()
    with pytest.raises(UsageError, match="would be among the results of the run"):
        run(out, "--out", out / "predictions.parquet", "--overwrite")
    assert (out / "predictions.parquet").read_bytes() == before


@pytest.mark.parametrize(
    ("columns", "flags", "error", "words"),
    [
        (
            {"OBJID": [1, 2, 3, 4]},
            (),
            InvalidEvent,
            "no id is in both .*of .+.* such as 1, and .* such as 12376487206937559",
        ),
        ({"OBJID": [1.5, 2.0, 3.0, 4.0]}, (), InvalidEvent, "numbers that are not whole"),
        ({}, ("--id", "name"), UsageError, "--id name is no column of the catalogue, which has OBJID, redshift"),
        ({"cosmicai_redshift": [1] * 4}, (), UsageError, "there is a column cosmicai_redshift already: name the new"),
        ({"x_z_best": [1] * 4}, ("--prefix", "x"), UsageError, "there is a column x_z_best already"),
    ],
)
def test_catalogues_that_cannot_be_joined(out: Path, tmp_path: Path, columns, flags, error, words: str):
    given = catalogue(tmp_path / "mine.csv", **columns)
    with pytest.raises(error, match=words):
        run(out, "--catalogue", given, *flags, "--out", tmp_path / "p.csv")
    assert not (tmp_path / "p.csv").exists()


@pytest.mark.parametrize("ids", [[float(FIRST_ID)], [None], ["x"]])
def test_ids_that_match_nothing_are_refused(out: Path, tmp_path: Path, ids: list[object]):
    parquet.write_table(pa.table({"objid": ids}), tmp_path / "mine.parquet")
    with pytest.raises(InvalidEvent, match=r"objid of the catalogue is double|no id is in both"):
        run(out, "--catalogue", tmp_path / "mine.parquet", "--out", tmp_path / "p.csv")


def test_one_id_twice_in_the_run(tmp_path: Path):
    twice = predictions(3, {"objid": np.array([7, 7, 8])})
    out = run_folder(tmp_path / "run", twice)
    given = catalogue(tmp_path / "mine.csv", OBJID=[8, 7, 7, 1])
    with pytest.raises(InvalidEvent, match="1 id of the run has several predictions, as 7 has"):
        run(out, "--catalogue", given, "--out", tmp_path / "p.parquet")
    assert run(out, "--catalogue", given, "--repeats", "first", "--out", tmp_path / "p.parquet") == 0
    found = parquet.read_table(tmp_path / "p.parquet")["cosmicai_redshift"].to_pylist()
    assert found == [None, *[twice.redshift[0]] * 2, None]


def test_a_run_without_ids_says_how_to_have_them(tmp_path: Path):
    out = run_folder(tmp_path / "run", predictions(3, {}))
    told = r"the predictions in .*run \(of .+\) hold no ids .* need a column of"
    with pytest.raises(UsageError, match=told):
        run(out, "--catalogue", catalogue(tmp_path / "mine.csv"), "--out", tmp_path / "p.csv")
    assert run(out, "--out", tmp_path / "p.csv") == 0


def test_a_run_without_galaxies(tmp_path: Path):
    out = run_folder(tmp_path / "run", Predictions.concatenate([]))
    assert run(out, "--out", tmp_path / "p.fits") == 0
    assert len(Table.read(tmp_path / "p.fits")) == 0


def test_the_tables_of_a_run_are_shown_once_more(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = run_folder(tmp_path / "run", predictions(3))
    records = [record(0, transport="self"), record(1)]
    summary = summarise(manifest(), records, judged(20)).to_json()
    (out / "summary.json").write_text(json.dumps({**summary, "warnings": ["one of many"]}))
    (out / "combined_data.json").write_text(json.dumps(records))
    assert run(out) == 0
    said = capsys.readouterr().out
    for words in ("run run-1: succeeded", "20 in 2 of 2 partitions", "warning: one of many"):
        assert words in said


def test_a_file_of_predictions_is_enough_for_a_catalogue(out: Path, tmp_path: Path):
    assert run(out / "predictions.parquet", "--out", tmp_path / "p.fits") == 0
    assert len(Table.read(tmp_path / "p.fits")) == 6
    with pytest.raises(UsageError, match="would be among the results"):
        run(out / "predictions.parquet", "--out", out / "predictions.parquet", "--overwrite")
    with pytest.raises(InvalidEvent, match="holds no summary"):
        run(out / "predictions.parquet")


def test_a_run_that_was_broken_off_has_no_tables(out: Path):
    with pytest.raises(InvalidEvent, match="holds no summary, which a run writes at its end"):
        run(out)
