import csv
import json
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lambda_image.data.partition import read_partition, write_partition
from lambda_image.errors import PartitionMalformed, UsageError
from scripts import clean
from scripts.galaxies import Mixture, render
from tests.unit.scripts.flags import run_command

ROWS = 60
RNG = np.random.default_rng(5)
MAGNITUDES, REDSHIFTS = Mixture.shipped().draw(ROWS, RNG)
IMAGES = render(MAGNITUDES, RNG)
BAD = {3: "image_not_finite", 8: "image_implausible", 20: "magnitude_bad", 41: "redshift_unknown"}


run = partial(run_command, clean)


def dirty(path: Path, rows: np.ndarray | None = None, shift: int = 0) -> Path:
    images, magnitudes, redshifts = IMAGES.copy(), MAGNITUDES.copy(), REDSHIFTS.copy()
    images[3, 0, 4, 4], images[8, 1, 2, 3], magnitudes[20, 2], redshifts[41] = np.nan, -9999, 99, -1
    magnitudes[50, 1] += 6  # faint in g, which is strange and no placeholder
    which = np.arange(ROWS) if rows is None else rows
    columns = {"objid": 10**17 + which}
    write_partition(path, images[which], magnitudes[which], redshifts[which], columns=columns, rows=which + shift)
    return path


def reasons(file: Path) -> dict[tuple[str, int], str]:
    with file.open(newline="") as opened:
        return {(row["source"], int(row["row"])): row["reasons"] for row in csv.DictReader(opened)}


def test_what_has_no_prediction_is_dropped_and_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    data = dirty(tmp_path / "d.safetensors", shift=1000)
    flags = ("--dropped", tmp_path / "dropped.csv", "--json", tmp_path / "c.json")
    assert run(data, "--out", tmp_path / "c.safetensors", *flags) == 0
    assert reasons(tmp_path / "dropped.csv") == {
        ("d.safetensors", 1000 + row): BAD[row] for row in (3, 8, 20)
    }  # by the row of the dataset
    part = read_partition(tmp_path / "c.safetensors")
    kept = np.setdiff1d(np.arange(ROWS), [3, 8, 20])
    assert part.rows.tolist() == (kept + 1000).tolist()
    assert part.columns["objid"].tolist() == (kept + 10**17).tolist()
    np.testing.assert_array_equal(part.images, IMAGES.astype(np.float32)[kept])
    counts = {"image_not_finite": 1, "image_implausible": 1, "magnitude_bad": 1}
    report = {"kept": 57, "dropped": 3, "by_reason": counts, "limits": {}}
    assert json.loads((tmp_path / "c.json").read_bytes()) == report
    assert "57 galaxies in" in capsys.readouterr().out


def test_reasons_are_chosen(tmp_path: Path):
    data = dirty(tmp_path / "d.safetensors")
    flags = ("--drop", "redshift_unknown", "--dropped", tmp_path / "dropped.csv")
    assert run(data, "--out", tmp_path / "c.safetensors", *flags) == 0
    assert reasons(tmp_path / "dropped.csv") == {("d.safetensors", 41): "redshift_unknown"}


def test_outliers_are_those_of_pandas_over_all_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "parts").mkdir()
    dirty(tmp_path / "parts/1.safetensors", np.arange(30))
    dirty(tmp_path / "parts/2.safetensors", np.arange(30, ROWS))
    (tmp_path / "parts/3.safetensors").write_bytes(b"")
    flags = ("--outliers", "1.5iqr", "--dropped", tmp_path / "dropped.csv")
    assert run(tmp_path / "parts", "--out", tmp_path / "clean", *flags) == 0
    frame = pd.DataFrame(MAGNITUDES.astype(np.float32), columns=[f"mag_{band}" for band in "ugriz"])
    frame.loc[20, "mag_r"] = np.nan
    frame.loc[50, "mag_g"] += 6
    frame["redshift"] = REDSHIFTS.astype(np.float32)
    frame.loc[41, "redshift"] = np.nan
    low, high = frame.quantile(0.25), frame.quantile(0.75)
    outside = (frame < low - 1.5 * (high - low)) | (frame > high + 1.5 * (high - low))
    expected = set(np.flatnonzero(outside.any(axis=1))) | {3, 8, 20}
    found = reasons(tmp_path / "dropped.csv")
    assert {row for _, row in found} == expected
    assert "outlier mag_g=" in found["2.safetensors", 50]
    assert {path.name for path in (tmp_path / "clean").iterdir()} == {"1.safetensors", "2.safetensors"}
    assert "mag_g is an outlier below" in capsys.readouterr().out


def test_a_dataset_without_redshifts_and_a_file_of_which_nothing_is_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "parts").mkdir()
    write_partition(tmp_path / "parts/1.safetensors", IMAGES[:4], MAGNITUDES[:4])
    write_partition(tmp_path / "parts/2.safetensors", IMAGES[:4] * np.nan, MAGNITUDES[:4])
    assert run(tmp_path / "parts", "--out", tmp_path / "clean", "--outliers", "3iqr") == 0
    assert [path.name for path in (tmp_path / "clean").iterdir()] == ["1.safetensors"]
    assert "no galaxy of 2.safetensors is left" in capsys.readouterr().out


def test_nothing_is_written_where_nothing_is_left(tmp_path: Path):
    write_partition(tmp_path / "a.safetensors", IMAGES[:4] * np.nan, MAGNITUDES[:4])
    flags = ("--dropped", tmp_path / "dropped.csv")
    with pytest.raises(PartitionMalformed, match="no galaxy is left: 4 galaxies"):
        run(tmp_path / "a.safetensors", "--out", tmp_path / "c.safetensors", *flags)
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


def test_a_published_file_stays_one(tmp_path: Path):
    write_partition(tmp_path / "a.pt", IMAGES[:9], MAGNITUDES[:9], REDSHIFTS[:9], file_format="pt")
    assert run(tmp_path / "a.pt", "--out", tmp_path / "c.pt") == 0
    assert len(read_partition(tmp_path / "c.pt")) == 9


def test_a_file_of_another_kind_is_to_be_imported_first(tmp_path: Path):
    (tmp_path / "a.fits").write_bytes(b"SIMPLE  =                    T".ljust(2880))
    with pytest.raises(PartitionMalformed, match=r"it is a FITS file and no partition: `cosmicai import "):
        run(tmp_path / "a.fits", "--out", tmp_path / "c.safetensors")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--out", "c.pt"), "must end in .safetensors"),
        (("--out", "c.safetensors", "--drop", "ugly"), "'ugly' is unknown; allowed: image_not_finite"),
        (("--out", "c.safetensors", "--outliers", "3sd"), "--outliers is '3sd'"),
        (("--out", "/nowhere/c.safetensors"), "in a folder that does not exist"),
    ],
)
def test_wrong_flags(tmp_path: Path, flags: tuple[str, ...], said: str):
    write_partition(tmp_path / "a.safetensors", IMAGES[:4], MAGNITUDES[:4])
    with pytest.raises(UsageError, match=said):
        run(tmp_path / "a.safetensors", *flags)
