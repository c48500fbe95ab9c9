import numpy as np
import pytest

from lambda_image.metrics import accuracy
from scripts.evaluate.groups import ALL
from scripts.evaluate.measuring import coverage, judged, measure_bins
from tests.unit.scripts.evaluate.galaxies import predictions


def test_measures_are_those_of_every_other_command():
    galaxies = predictions()
    whole = next(measure_bins(galaxies, 5, 20, np.random.default_rng(0)))
    expected = accuracy(galaxies.redshift, galaxies.redshift_true).to_json()
    assert whole.bin.group == ALL
    for name, interval in whole.measures.items():
        assert interval.value == pytest.approx(expected[name]), name
    assert whole.measures["nmad"].low < whole.measures["nmad"].value < whole.measures["nmad"].high


def test_bins_are_measured_by_their_own_galaxies():
    galaxies = predictions()
    galaxies.redshift[galaxies.magnitudes[:, 2] > np.quantile(galaxies.magnitudes[:, 2], 0.8)] += 0.1
    found = [one for one in measure_bins(galaxies, 5, 20, np.random.default_rng(0)) if "magnitude" in one.bin.group]
    assert [one.measures["bias"].value > 0.05 for one in found] == [False] * 4 + [True]


def test_error_bars_are_held_against_the_truth():
    galaxies = predictions(20_000, errors=True)
    assert {name: within.mean() for name, within in coverage(galaxies).items()} == pytest.approx(
        {"coverage_68": 0.6827, "coverage_95": 0.95}, abs=0.01
    )
    assert coverage(predictions()) == {}
    whole = next(measure_bins(predictions(errors=True), 2, 10, np.random.default_rng(0)))
    assert whole.to_json()["measures"]["coverage_68"]["value"] == pytest.approx(0.68, abs=0.08)


def test_only_galaxies_with_prediction_and_truth_are_measured():
    galaxies = predictions(10)
    galaxies.redshift[3], galaxies.redshift_true[[4, 5]] = np.nan, (-9999, np.nan)
    assert judged(galaxies).row.tolist() == [0, 1, 2, 6, 7, 8, 9]
