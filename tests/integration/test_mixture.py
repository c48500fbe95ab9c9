"""Fitting the galaxies of `cosmicai sample`, by scikit-learn, whose import takes seconds."""

import json
from pathlib import Path

import numpy as np

from scripts.fit_mixture import FLUX_LIMIT, fit, main
from scripts.galaxies import Mixture, R


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
    out = tmp_path / "galaxies.json"
    assert main([str(tmp_path / "catalogue.npz"), "--components", "3", "--out", str(out)]) == 0
    assert set(json.loads(out.read_text())) == {"weights", "means", "covariances", "low", "high"}
    said = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in said] == [
        "expected redshift of its own draws",
        "expected redshift of held-out galaxies",
    ]
