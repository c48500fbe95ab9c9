from dataclasses import replace

import numpy as np

from scripts.report.accuracy_figures import accuracy_figures, quality_figures
from tests.unit.scripts.report.facts import run_facts


def test_every_galaxy_is_in_the_pictures_outliers_too():
    figures = {figure.name: figure for figure in accuracy_figures(run_facts(galaxies=40))}
    assert list(figures) == ["predicted", "residuals", "residual_histogram"]
    for name in ("predicted", "residuals"):
        assert sum(row[-1] for row in figures[name].rows) == 40
    histogram = figures["residual_histogram"]
    assert sum(row[-1] for row in histogram.rows) == 39
    farthest = (0.06 - 3.05) / (1 + 3.05)
    assert f"1 galaxy lies beyond them, up to |Δz / (1 + z)| = {-farthest:.3f}" in histogram.caption


def test_a_cell_holds_its_galaxy():
    facts = replace(run_facts(), redshift=np.array([0.1, 0.3], "f4"), redshift_true=np.array([0.12, 0.2], "f4"))
    for left, right, low, high, count in next(accuracy_figures(facts)).rows:
        z, true = (0.1, 0.12) if left < 0.15 else (0.3, 0.2)
        assert left <= true <= right
        assert low - 1e-6 <= z <= high + 1e-6
        assert count == 1


def test_nothing_is_drawn_of_galaxies_without_truth():
    facts = run_facts()
    unknown = np.full(len(facts.redshift), np.nan, np.float32)
    assert list(accuracy_figures(replace(facts, redshift_true=unknown))) == []
    assert list(accuracy_figures(replace(facts, redshift=unknown))) == []


def test_one_galaxy_and_equal_redshifts_are_drawn():
    one = np.array([0.1], np.float32)
    facts = replace(run_facts(), redshift=one, redshift_true=one)
    assert [sum(row[-1] for row in figure.rows) for figure in accuracy_figures(facts)] == [1, 1, 1]


def test_flags():
    flags, galaxies = quality_figures(run_facts(flagged=True))
    assert [row[:2] for row in flags.rows] == [("magnitude_bad", 3)]
    (row,) = galaxies.rows
    assert row[:3] == ("d/0.pt", 7, 132)
    assert "not detected" in str(row[3])
    assert list(quality_figures(run_facts())) == []
