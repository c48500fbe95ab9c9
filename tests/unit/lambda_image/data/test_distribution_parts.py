import json

import numpy as np
import pytest

from lambda_image.data.distribution_parts import PIT_BINS, SHOWN_BINS, DistributionParts
from lambda_image.data.distributions import SCORES, cde_loss, covered, pit, uniform_distance


def galaxies(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    middle = rng.uniform(0.1, 0.3, count)
    quantiles = (middle[:, None] + 0.02 * SCORES).astype(np.float32)
    return quantiles, (middle + 0.02 * rng.standard_normal(count)).astype(np.float32)


def test_measures_are_those_of_all_galaxies_however_they_are_parted():
    quantiles, true = galaxies(900)
    whole = DistributionParts()
    for rows in (slice(0, 100), slice(100, 100), slice(100, 900)):
        part = DistributionParts()
        part.add(quantiles[rows], true[rows])
        whole.merge(DistributionParts.from_json(json.loads(json.dumps(part.to_json()))))
    found = whole.measures()
    assert (found["galaxies"], found["with_truth"], sum(found["pit"]), len(found["pit"])) == (900, 900, 900, SHOWN_BINS)
    assert found["coverage_68"] == covered(quantiles, true)["coverage_68"].mean()
    assert found["coverage_95"] == covered(quantiles, true)["coverage_95"].mean()
    assert found["cde_loss"] == pytest.approx(cde_loss(quantiles, true).mean())
    assert found["pit_ks"] == pytest.approx(uniform_distance(pit(quantiles, true)), abs=1.01 / PIT_BINS)


def test_a_record_of_many_galaxies_is_no_longer_than_one_of_all_bins():
    sizes = []
    for count in (PIT_BINS, 30 * PIT_BINS):
        parts = DistributionParts()
        parts.add(*galaxies(count))
        sizes.append(len(json.dumps(parts.to_json())))
    assert sizes[1] < 2.5 * sizes[0]


def test_galaxies_without_truth_or_distribution_are_left_out():
    quantiles, true = galaxies(10)
    quantiles[0], true[1], true[2] = np.nan, np.nan, -9999
    parts = DistributionParts()
    parts.add(quantiles, true)
    assert (parts.galaxies, parts.with_truth, len(parts.pit)) == (9, 7, 7)


def test_without_truth_nothing_is_measured():
    parts = DistributionParts()
    parts.add(galaxies(5)[0], np.full(5, np.nan, np.float32))
    found = parts.measures()
    assert (found["galaxies"], found["with_truth"]) == (5, 0)
    assert {found[name] for name in ("coverage_68", "coverage_95", "pit_ks", "cde_loss", "pit")} == {None}


@pytest.mark.parametrize(
    "damage",
    [
        {"pit": [1]},
        {"pit": "a"},
        {"with_truth": 1},
        {"with_truth": 2**62},
        {"galaxies": -1},
        {"galaxies": 3},  # fewer than there are with a true redshift
        {"galaxies": 5.0},
        {"galaxies": 10**400},
        {"inside": {}},
        {"inside": {"coverage_68": 5, "coverage_95": 3}},
        {"inside": {"coverage_68": 1, "coverage_95": 5}},
        {"cde_loss": "low"},
        {"cde_loss": "nan"},
        {"cde_loss": True},
        {"cde_loss": float("inf")},
        {"cde_loss": 1e308},  # of which two add up to no number
        {"cde_loss": 10**400},
        {"more": 1},
    ],
)
def test_what_is_damaged_is_refused(damage: dict):
    parts = DistributionParts()
    parts.add(*galaxies(4))
    sound = parts.to_json()
    assert DistributionParts.from_json(sound).measures() == parts.measures()
    with pytest.raises(ValueError, match="not what a record says"):
        DistributionParts.from_json({**sound, **damage})
