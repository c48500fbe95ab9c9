"""From a run to files that the tools of the field open, as the README shows it."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pandas
import polars
import pytest
from astropy.io.votable import validate
from astropy.table import Table

from lambda_image.data.partition import write_partition
from lambda_image.data.predictions import Predictions
from scripts.cli import main
from scripts.galaxies import Mixture, render

ROOT = Path(__file__).resolve().parents[2]
FIRST_ID = 1237648720693755918  # of SDSS
COUNT, FURTHER = 1000, 200
pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of a run over 1,000 galaxies in out/demo, and a catalogue that has 200 more, in another order."""
    folder = tmp_path_factory.mktemp("results")
    rng = np.random.default_rng(5)
    magnitudes, redshifts = Mixture.shipped().draw(COUNT, rng)
    magnitudes[7, 0] = -9999
    ids = FIRST_ID + rng.permutation(10**6)[: COUNT + FURTHER]
    images = render(np.where(magnitudes < 0, 20, magnitudes), rng)
    write_partition(folder / "galaxies.safetensors", images, magnitudes, redshifts, columns={"objid": ids[:COUNT]})
    flags = ("--world-size", "2", "--data", str(folder / "galaxies.safetensors"), "--out", str(folder / "out" / "demo"))
    assert main(["demo", *flags]) == 0
    order = rng.permutation(COUNT + FURTHER)
    catalogue = Table({"OBJID": ids[order], "RA": rng.random(COUNT + FURTHER) * 360, "DEC": np.zeros(COUNT + FURTHER)})
    catalogue["RA"].unit = catalogue["DEC"].unit = "deg"
    catalogue.write(folder / "my_catalogue.fits")
    catalogue.rename_columns(["OBJID"], ["objid"])
    catalogue.write(folder / "my_catalogue.csv")
    return folder


@pytest.fixture
def there(folder: Path) -> Iterator[Path]:
    before = Path.cwd()
    os.chdir(folder)
    yield folder
    os.chdir(before)


@pytest.fixture
def answers(folder: Path) -> dict[int, float]:
    """The predicted redshifts by id, read by the code that wrote them."""
    table = Predictions.from_parquet((folder / "out/demo/predictions.parquet").read_bytes())
    return dict(zip(table.columns["objid"].tolist(), table.redshift.tolist(), strict=True))


def expected(answers: dict[int, float]) -> list[float]:
    """The redshifts of the catalogue's rows, NaN where there is none."""
    return [answers.get(id_, np.nan) for id_ in Table.read("my_catalogue.fits")["OBJID"].tolist()]


def blocks(language: str) -> list[str]:
    """The recipes of the README."""
    section = (ROOT / "README.md").read_text().split("### As a catalogue")[1].split("\n## ")[0]
    return re.findall(rf"^```{language}\n(.*?)^```", section, re.MULTILINE | re.DOTALL)


@pytest.mark.usefixtures("there")
def test_the_readmes_command_and_recipes(answers: dict[int, float], capsys: pytest.CaptureFixture[str]):
    command, *said = blocks("")[0].splitlines()
    assert main(command.split()[2:]) == 0
    assert capsys.readouterr().out.splitlines() == said
    table = Table.read("predictions.fits")
    np.testing.assert_array_equal(np.ma.filled(table["redshift"], np.nan), np.float32(expected(answers)))
    assert main(["results", "out/demo", "--out", "predictions.fits", "--overwrite"]) == 0
    for recipe in blocks("python"):
        names: dict[str, Table | pandas.DataFrame] = {}
        exec(recipe, names)
        found = dict(zip(names["joined"]["objid"].tolist(), names["joined"]["redshift"].tolist(), strict=True))
        assert len(found) == COUNT + FURTHER
        for id_, redshift in answers.items():
            assert found[id_] == redshift or (np.isnan(redshift) and not np.isfinite(found[id_] or np.nan))
    duckdb.sql(blocks("sql")[0])
    assert duckdb.sql("SELECT count(*), count(redshift) FROM 'joined.parquet'").fetchall() == [(1200, COUNT - 1)]


@pytest.mark.usefixtures("there")
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_pandas_polars_and_duckdb_open_it(answers: dict[int, float], kind: str):
    path = f"opened.{kind}"
    assert main(["results", "out/demo", "--catalogue", "my_catalogue.fits", "--out", path]) == 0
    ids = Table.read("my_catalogue.fits")["OBJID"].tolist()
    redshifts = np.float32(expected(answers))
    frame = pandas.read_csv(path) if kind == "csv" else pandas.read_parquet(path)
    columns = polars.read_csv(path) if kind == "csv" else polars.read_parquet(path)
    rows = duckdb.sql(f"SELECT OBJID, redshift, quality FROM '{path}'").fetchall()
    assert frame["OBJID"].tolist() == columns["OBJID"].to_list() == [row[0] for row in rows] == ids
    for found in (frame["redshift"], columns["redshift"].to_list(), [row[1] for row in rows]):
        np.testing.assert_array_equal(np.array(found, np.float32), redshifts)
    gaps = [value is None for value in columns["quality"].to_list()]
    assert gaps == [row[2] is None for row in rows] == frame["quality"].isna().tolist()
    assert sum(gaps) == FURTHER


@pytest.mark.usefixtures("there")
@pytest.mark.parametrize("name", ["opened.fits", "opened.fits.gz", "opened.vot", "opened.ecsv", "opened.parquet"])
def test_astropy_opens_it_with_units_and_ucds(answers: dict[int, float], name: str):
    flags = ("--prefix", "mine", "--overwrite")
    assert main(["results", "out/demo", "--catalogue", "my_catalogue.fits", "--out", name, *flags]) == 0
    table = Table.read(name, **({"format": "parquet.votable"} if name.endswith("parquet") else {}))
    assert table["OBJID"].tolist() == Table.read("my_catalogue.fits")["OBJID"].tolist()
    np.testing.assert_array_equal(np.ma.filled(table["mine_z_best"], np.nan), np.float32(expected(answers)))
    assert (str(table["RA"].unit), str(table["DEC"].unit)) == ("deg", "deg")
    if "fits" not in name:
        ucds = [table[column].meta["ucd"] for column in table.colnames]
        redshift = ("src.redshift.phot", "stat.error;src.redshift.phot", "src.redshift.phot")  # with error and mode
        low, high = "src.redshift.phot;stat.min", "src.redshift.phot;stat.max"
        assert ucds == [
            "meta.id;meta.main",
            "pos.eq.ra",
            "pos.eq.dec",
            *redshift,
            *(low, low, "src.redshift.phot;stat.median", high, high),
            "meta.code.qual",
        ]


@pytest.mark.usefixtures("there")
def test_astropys_validator_finds_nothing(capsys: pytest.CaptureFixture[str]):
    assert main(["results", "out/demo", "--catalogue", "my_catalogue.fits", "--out", "valid.vot"]) == 0
    assert validate("valid.vot"), capsys.readouterr().out


@pytest.mark.usefixtures("there")
def test_a_catalogue_with_predictions_takes_those_of_another_run():
    for given, out, prefix in (("my_catalogue.fits", "once.fits", "one"), ("once.fits", "twice.fits", "two")):
        assert main(["results", "out/demo", "--catalogue", given, "--out", out, "--prefix", prefix]) == 0
    table = Table.read("twice.fits")
    bounds = ("z_err95_low", "z_err68_low", "z_median", "z_err68_high", "z_err95_high")
    names = ("z_best", "z_err", "z_mode", *bounds, "quality")
    assert table.colnames[3:] == [f"{prefix}_{name}" for prefix in ("one", "two") for name in names]
    np.testing.assert_array_equal(table["one_z_best"], table["two_z_best"])
    assert table["one_quality"].mask.tolist() == table["two_quality"].mask.tolist()


@pytest.mark.usefixtures("there")
def test_the_tables_are_shown_by_the_folder_and_by_the_name_of_the_run(capsys: pytest.CaptureFixture[str]):
    assert main(["results", "out/demo"]) == 0
    said = capsys.readouterr().out
    name = re.search(r"run (\S+): succeeded", said)
    assert name is not None
    assert main(["results", name[1]]) == 0
    assert capsys.readouterr().out == f"out/demo/ is read, which holds the results of {name[1]}\n{said}"
