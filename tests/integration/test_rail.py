"""The redshift distributions of a run, measured by RAIL from the file that `cosmicai results --qp` writes."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from lambda_image.data.distribution_parts import DistributionParts
from lambda_image.data.distributions import pit
from lambda_image.data.predictions import Predictions
from lambda_image.model import SHIPPED_MODEL
from lambda_image.model.calibration import RedshiftCalibration, calibration_path
from scripts.catalogue.qp_file import write_qp
from scripts.catalogue.run_source import ResultFolderSource
from scripts.galaxies import Mixture
from tests.unit.scripts.catalogue.runs import run_folder, write_distributions
from tests.unit.test_layout import ROOT

PYTHON = ROOT / ".venv" / "rail" / "bin" / "python"  # RAIL's own environment
GALAXIES = 3000

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON.is_file(), reason="RAIL is not installed: make .venv/rail/ready"),
]


@pytest.mark.timeout(300)
def test_rail_finds_the_measures_of_the_summary(tmp_path: Path):
    pytest.importorskip("qp")
    rng = np.random.default_rng(0)
    magnitudes, true = Mixture.shipped().draw(GALAXIES, rng)
    redshifts = Mixture.shipped().expected_redshift(magnitudes).astype(np.float32)
    true[::10] = np.nan
    described = RedshiftCalibration.read(calibration_path(SHIPPED_MODEL)).describe(redshifts, magnitudes)
    part = Predictions.of_partition("data/1.pt", 0, magnitudes, redshifts, true, np.zeros(GALAXIES), {})
    folder = run_folder(tmp_path / "out", part)
    write_distributions(folder, 0, part, described.z_mode, described.quantiles)
    write_qp(ResultFolderSource(folder), tmp_path / "pz.hdf5")
    command = [PYTHON, Path(__file__).with_name("rail_measures.py"), tmp_path / "pz.hdf5"]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    parts = DistributionParts()
    parts.add(described.quantiles, true)
    ours = parts.measures()
    assert found["cde_loss"] == pytest.approx(ours["cde_loss"], rel=0.001)
    assert found["pit_ks"] == pytest.approx(ours["pit_ks"], rel=0.01)
    known = np.isfinite(true)
    assert found["pit"] == pytest.approx(pit(described.quantiles[known], true[known]), abs=1e-6)
