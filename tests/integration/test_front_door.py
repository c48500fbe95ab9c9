"""The example of the README and of the package's own documentation, as a program of its own."""

from pathlib import Path

import numpy as np

import lambda_image
from lambda_image.data.partition import write_partition
from scripts.galaxies import Mixture, render
from tests.unit.test_exports import run_alone

EXAMPLE = """\
from lambda_image import accuracy, load_engine, read_dataset
galaxies = read_dataset("galaxies.safetensors")
redshifts = load_engine().predict(galaxies.images, galaxies.magnitudes)
print(redshifts[:5])
print(accuracy(redshifts, galaxies.redshifts))
"""


def test_the_example_predicts_redshifts_of_a_file(tmp_path: Path):
    rng = np.random.default_rng(0)
    magnitudes, redshifts = Mixture.shipped().draw(16, rng)
    write_partition(tmp_path / "galaxies.safetensors", render(magnitudes, rng), magnitudes, redshifts)
    first, *table = run_alone(EXAMPLE, tmp_path).splitlines()
    assert len(first.strip("[]").split()) == 5
    assert np.abs(np.array(first.strip("[]").split(), float) - redshifts[:5]).max() < 0.1
    assert table[0].split() == ["galaxies", "16"]
    assert table[1].startswith("R²  ")
    assert table[2].split()[0] == "MAE"
    assert float(table[2].split()[1]) < 0.1
    assert all(line in (lambda_image.__doc__ or "") for line in EXAMPLE.splitlines())
