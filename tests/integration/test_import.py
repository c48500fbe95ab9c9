"""From files of the field to predictions that are joined by id, as the documents show it, and the memory it takes."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from lambda_image.data.predictions import Predictions
from scripts.cli import main

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.timeout(240)
COUNT = 1000
# Bytes of images, which are more than a process may take that reads them in pieces.
BIG = int(os.environ.get("IMPORT_BYTES", 1 << 30))
MOST_MIB = 500


def documented(document: str, heading: str, language: str) -> list[str]:
    """The blocks of code under a heading."""
    section = (ROOT / document).read_text().split(f"## {heading}\n")[1].split("\n## ")[0]
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    return [content for of, content in blocks if of == language]


def rounded(table: str) -> list[list[str]]:
    """The cells of a table that astropy shows, since engines differ in the last digits."""
    return [
        [cell[:7] if "." in cell else cell for cell in line.split()] for line in table.splitlines() if "--" not in line
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The FITS file that docs/formats.md makes, and its partitions."""
    folder = tmp_path_factory.mktemp("field")
    (making,) = documented("docs/formats.md", "From a FITS file to a table of predictions", "python")
    assert main(["sample", str(folder / "sample.safetensors"), "--count", str(COUNT)]) == 0
    paths = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", making], check=True, cwd=folder, env=paths)
    return folder


def test_a_fits_file_of_1000_galaxies_becomes_predictions_joined_by_id(folder: Path, monkeypatch, capfd):
    monkeypatch.chdir(folder)
    (session,) = documented("README.md", "Files of the field", "")
    importing, running, joining, looking = re.findall(r"^\$ (.+)\n((?:(?!\$ ).*\n)*)", session, re.MULTILINE)
    for command, output in (importing, running, joining):
        assert main(shlex.split(command)[1:]) == 0
        shown = capfd.readouterr().out.splitlines()
        assert [line for line in output.splitlines() if line not in shown] == ["..."] * output.count("...\n"), command
    ended = subprocess.run(shlex.split(looking[0].replace("python", sys.executable, 1)), capture_output=True, text=True)
    assert rounded(ended.stdout) == rounded(looking[1])
    with fits.open("galaxies.fits") as hdus:
        table = Table(hdus[1].data)
    predictions = Predictions.from_parquet(Path("out/demo/predictions.parquet").read_bytes())
    assert predictions.columns["objid"].dtype == np.int64
    found = dict(zip(predictions.columns["objid"].tolist(), range(COUNT), strict=True))
    rows = [found[objid] for objid in table["objid"].tolist()]
    np.testing.assert_array_equal(predictions.redshift_true[rows], table["z_spec"])
    np.testing.assert_array_equal(predictions.magnitudes[rows, 2], table["dered_r"])
    assert np.abs(predictions.redshift[rows] - table["z_spec"]).mean() < 0.02
    joined = Table.read("predictions.fits")
    assert joined["objid"].tolist() == table["objid"].tolist()
    np.testing.assert_array_equal(joined["redshift"], predictions.redshift[rows])


def big_cube(path: Path) -> int:
    """A FITS file with a cube of `BIG` bytes, which is a hole in the file, so that it takes no space; its galaxies."""
    row_bytes = 4 * 5 * 64 * 64
    count = BIG // row_bytes
    sizes = {"NAXIS": 4, "NAXIS1": 64, "NAXIS2": 64, "NAXIS3": 5, "NAXIS4": count}
    header = fits.Header({"SIMPLE": True, "BITPIX": -32, **sizes, "EXTEND": True, "BANDS": "ugriz"})
    table = fits.BinTableHDU(Table({f"mag_{band}": np.full(count, 18, "f4") for band in "ugriz"}))
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(path)
    behind = path.read_bytes()[2880:]
    with path.open("wb") as file:
        file.write(header.tostring().encode())
        file.truncate(file.tell() + -(-count * row_bytes // 2880) * 2880)
        file.seek(0, os.SEEK_END)
        file.write(behind)
    return count


MEASURED = """
import sys
from lambda_image.process import peak_rss_mb
from scripts.cli import main
status = main(sys.argv[1:])
print(peak_rss_mb())
raise SystemExit(status)
"""


def test_memory_does_not_grow_with_the_file(tmp_path: Path):
    count = big_cube(tmp_path / "big.fits")
    command = [sys.executable, "-c", MEASURED, "import", str(tmp_path / "big.fits"), "--out", str(tmp_path / "out")]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    *_, last, peak = ended.stdout.splitlines()
    assert last.startswith(f"{count:,} galaxies in ")
    print(f"{BIG / 1e9:.1f} GB of images took {peak} MiB")
    assert float(peak) < MOST_MIB
