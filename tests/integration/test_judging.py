"""Judging weights on galaxies kept aside, beside small networks that are trained for it."""

from pathlib import Path

import numpy as np
import pytest

from lambda_image import read_dataset
from scripts.galaxies import Mixture
from scripts.training.judge import main


def test_weights_are_judged_beside_small_networks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    magnitudes, redshifts = Mixture.shipped().draw(2000, np.random.default_rng(0))
    np.savez(tmp_path / "made.npz", mags=magnitudes, redshift=redshifts)
    assert main([str(tmp_path / "made.npz"), "--write", str(tmp_path / "aside")]) == 0
    first, r2, nmad, r2_of_images, _ = capsys.readouterr().out.splitlines()
    assert first == "made.npz: 1,000 galaxies kept aside, 1,000 to train on"
    assert r2.startswith("  r2    weights 0.8")
    assert nmad.startswith("  nmad  weights 0.01")
    assert ", their answer to magnitudes only 0.8" in r2_of_images
    assert len(read_dataset(tmp_path / "aside" / "made.safetensors").redshifts) == 1000
