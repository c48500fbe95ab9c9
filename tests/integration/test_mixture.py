"""Fitting the galaxies of `cosmicai sample`, by scikit-learn, whose import takes seconds."""

import json
import re
from pathlib import Path

import numpy as np

from scripts.galaxies import Mixture, R
from scripts.training.fit_mixture import FLUX_LIMIT, fit, main
from scripts.training.realism import main as realism
from scripts.training.realism import separability


def galaxies(count: int) -> tuple[np.ndarray, np.ndarray]:
    return Mixture.shipped().draw(count, np.random.default_rng(0))


def test_what_is_drawn_from_a_fit_is_like_what_was_fitted() -> None:
    magnitudes, redshifts = galaxies(3000)
    fitted = fit(magnitudes, redshifts, components=4, seed=0)
    np.testing.assert_allclose(fitted.weights.sum(), 1)
    assert fitted.high[R] <= FLUX_LIMIT
    drawn, drawn_redshifts = fitted.draw(3000, np.random.default_rng(1))
    np.testing.assert_allclose(drawn.mean(axis=0), magnitudes.mean(axis=0), atol=0.15)
    np.testing.assert_allclose(np.median(drawn_redshifts), np.median(redshifts), atol=0.02)


def test_the_command_writes_a_mixture_and_says_how_good_it_is(tmp_path: Path, capsys) -> None:
    magnitudes, redshifts = galaxies(2500)
    np.savez(tmp_path / "catalogue.npz", mags=magnitudes, redshift=redshifts)
    assert main([str(tmp_path / "catalogue.npz"), "--components", "3", "--out", str(tmp_path)]) == 0
    assert set(json.loads((tmp_path / "galaxies.json").read_text())) == {
        "weights",
        "means",
        "covariances",
        "low",
        "high",
    }
    said = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in said] == [
        "expected redshift of its own draws",
        "expected redshift of held-out galaxies",
    ]


def test_a_classifier_tells_what_differs_and_not_what_is_alike() -> None:
    rng = np.random.default_rng(0)
    made, real = rng.normal(size=(2, 800, 3))
    assert abs(separability(made, real) - 0.5) < 0.06
    assert separability(made, real + np.array([2, 0, 0])) > 0.85


def test_made_galaxies_are_not_told_from_real_ones(shared: Path, capsys) -> None:
    catalogues = [str(shared / "data" / name) for name in ("sdss_mgs_train_5k.npz", "sdss_model_petro.npz")]
    assert realism([catalogues[0], "--petrosian", catalogues[1]]) == 0
    said = capsys.readouterr().out
    found = [float(value) for value in re.findall(r"(?:AUC: magnitudes|and redshift|real, AUC:) ([0-9.]+)", said)]
    assert len(found) == 3
    assert max(found) < 0.6
