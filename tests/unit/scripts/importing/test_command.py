import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from lambda_image.data.dataset import read_dataset
from lambda_image.data.quality import Quality, judge_inputs
from scripts.cli import main

N = 12


@pytest.fixture
def fits_file(tmp_path, sample) -> Path:
    image = fits.PrimaryHDU(sample.images)
    image.header.update({"BANDS": "ugriz", "BUNIT": "nanomaggy", "PIXSCALE": 0.396})
    columns = {"objid": sample.ids, "z_spec": sample.redshifts}
    columns |= {f"mag_{band}": sample.magnitudes[:, place] for place, band in enumerate("ugriz")}
    path = tmp_path / "galaxies.fits"
    fits.HDUList([image, fits.BinTableHDU(Table(columns), name="CATALOG")]).writeto(path)
    return path


def cosmicai(*words: object) -> int:
    return main(["import", *map(str, words)])


@pytest.mark.parametrize("file_format", ["safetensors", "pt"])
def test_partitions_hold_the_galaxies_in_order(tmp_path, sample, fits_file, capsys, file_format):
    out = tmp_path / "parts"
    assert cosmicai(fits_file, "--out", out, "--rows", 5, "--format", file_format) == 0
    assert sorted(path.name for path in out.iterdir()) == [f"{number}.{file_format}" for number in (1, 2, 3)]
    read = read_dataset(out)
    np.testing.assert_array_equal(read.images, sample.images)
    np.testing.assert_array_equal(read.magnitudes, sample.magnitudes)
    np.testing.assert_array_equal(read.redshifts, sample.redshifts)
    np.testing.assert_array_equal(read.columns["objid"], sample.ids)
    assert read.columns["objid"].dtype == np.int64
    assert read.rows.tolist() == list(range(N))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{fits_file}: FITS, 12 galaxies"
    assert lines[-1] == f"12 galaxies in 3 files in {out}"
    assert [line[:13].strip() for line in lines[1:-1]] == ["images", "magnitudes", "redshifts", "columns", "pixels"]


def test_show_writes_nothing(tmp_path, fits_file, capsys):
    assert cosmicai(fits_file, "--show") == 0
    assert "columns    objid int64; objid is the id" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["galaxies.fits"]


def test_what_a_run_will_flag_is_counted(tmp_path, sample, fits_file, capsys):
    with fits.open(fits_file, mode="update") as hdus:
        hdus[0].data[3, 0, 5, 5] = np.nan
        hdus[1].data["mag_u"][4:6] = 99
        hdus[1].data["mag_g"][7] = -99
        hdus[1].data["z_spec"][8:11] = np.nan, -1, -9999
    assert cosmicai(fits_file, "--out", tmp_path / "parts") == 0
    told = capsys.readouterr().out
    assert "1 of 12 galaxies: a pixel of the image is not finite" in told
    assert "2 of 12 galaxies: a magnitude is 99, which says that the galaxy was not detected in that band" in told
    assert "1 of 12 galaxies: a magnitude is -99, which says that the galaxy was not observed in that band" in told
    assert "3 of 12 galaxies: the true redshift is unknown or stands for an unknown one" in told
    read = read_dataset(tmp_path / "parts")
    flags = judge_inputs(read.images, read.magnitudes)
    assert flags.nonzero()[0].tolist() == [3, 4, 5, 7]
    assert flags[4] & Quality.NOT_DETECTED
    assert flags[7] & Quality.NOT_OBSERVED


def test_a_damaged_cutout_costs_its_galaxy_the_image_and_is_told(tmp_path, sample, fits_file, capsys):
    for row in range(N):
        image = fits.PrimaryHDU(sample.images[row])
        image.header.update({"BANDS": "ugriz", "BUNIT": "nanomaggy", "PIXSCALE": 0.396})
        image.writeto(tmp_path / f"{sample.ids[row]}.fits")
    damaged = tmp_path / f"{sample.ids[3]}.fits"
    damaged.write_bytes(damaged.read_bytes()[:3000])
    images = "--images", f"{tmp_path}/{{objid}}.fits"
    warning = f"warning: 1 cut-out cannot be used, and its galaxy is flagged: {damaged} is cut off"
    assert cosmicai(fits_file, *images, "--show") == 0
    assert warning in capsys.readouterr().out
    assert cosmicai(fits_file, *images, "--out", tmp_path / "parts") == 0
    told = capsys.readouterr().out
    assert told.count(warning) == 1
    assert "1 of 12 galaxies: a pixel of the image is not finite" in told
    read = read_dataset(tmp_path / "parts")
    assert read.columns["objid"].tolist() == sample.ids.tolist()
    assert np.isnan(read.images).all(axis=(1, 2, 3)).nonzero()[0].tolist() == [3]


def test_what_is_shown_of_cutouts_is_said_of_those_that_were_looked_at(tmp_path, sample, capsys):
    count = 80
    table = {f"mag_{band}": np.full(count, 18.0) for band in "ugriz"}
    Table({"objid": np.arange(count), **table}).write(tmp_path / "cat.csv")
    for row in range(count):
        np.save(tmp_path / f"{row}.npy", sample.images[row % N, : 3 if row in (2, 70) else 5])
    given = tmp_path / "cat.csv", "--images", f"{tmp_path}/{{objid}}.npy", "--bands", "u,g,r,i,z"
    assert cosmicai(*given, "--show") == 0
    first = f"{tmp_path}/2.npy: 2 float32 [3, 32, 32] has other bands than u, g, r, i, z"
    shown = f"warning: among the first 64 galaxies, 1 cut-out cannot be used, and its galaxy is flagged: {first}"
    assert shown in capsys.readouterr().out.splitlines()
    assert cosmicai(*given, "--out", tmp_path / "parts") == 0
    told = f"warning: 2 cut-outs cannot be used, and their galaxies are flagged: the first one, {first}"
    assert told in capsys.readouterr().out.splitlines()


def test_ids_that_repeat_are_counted_over_all_files(tmp_path, fits_file, capsys):
    with fits.open(fits_file, mode="update") as hdus:
        hdus[1].data["objid"][11] = hdus[1].data["objid"][2]
    assert cosmicai(fits_file, "--out", tmp_path / "parts", "--rows", 5) == 0
    assert "1 of 12 galaxies: objid is that of an earlier galaxy, as " in capsys.readouterr().out


def test_a_refusal_is_one_line_and_leaves_nothing_behind(tmp_path, fits_file, capsys):
    assert cosmicai(fits_file, "--out", tmp_path / "parts", "--images", "SCI") == 2
    assert capsys.readouterr().err == (
        f"cosmicai: --images SCI: {fits_file} has no such array; found: PRIMARY float32 [12, 5, 32, 32], "
        "objid int64 [12], z_spec float32 [12], mag_u float32 [12], mag_g float32 [12], mag_r float32 [12], "
        "mag_i float32 [12], mag_z float32 [12]\n"
    )
    fits_file.write_bytes(fits_file.read_bytes()[:-2880])
    assert cosmicai(fits_file, "--out", tmp_path / "parts") == 1
    error = capsys.readouterr().err
    assert error.startswith(f"cosmicai: {fits_file}")
    assert "galaxies.fits" in error
    assert error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["galaxies.fits"]


@pytest.mark.parametrize(
    ("name", "content", "package"),
    [("a.fits", b"SIMPLE  =", "astropy"), ("a.h5", b"\x89HDF\r\n\x1a\n", "h5py"), ("a.parquet", b"PAR1", "pyarrow")],
)
def test_a_missing_package_is_named_with_its_extra(tmp_path, monkeypatch, capsys, name, content, package):
    class Blocked:
        def find_spec(self, module: str, path: object = None, target: object = None) -> None:
            if module.partition(".")[0] == package:
                raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    for module in [module for module in sys.modules if module.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr(sys, "meta_path", [Blocked(), *sys.meta_path])
    (tmp_path / name).write_bytes(content)
    assert cosmicai(tmp_path / name, "--out", tmp_path / "out") == 1
    assert capsys.readouterr().err == (
        f'cosmicai: this command needs the extra "formats" ({package} is not installed): '
        "pip install -e '.[formats]'\n"
    )
