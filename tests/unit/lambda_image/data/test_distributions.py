import math
import tracemalloc
from statistics import NormalDist

import numpy as np
import pytest

from lambda_image.data import distributions
from lambda_image.data.distributions import LEVELS, NAMES, SCORES

SIGMA = 0.02


def normal(count: int = 1, middle: float = 0.3) -> np.ndarray:
    return np.tile((middle + SIGMA * SCORES).astype(np.float32), (count, 1))


def test_the_names_of_quantiles_are_those_that_catalogues_know():
    from scripts.catalogue.meanings import QUANTILES

    assert set(QUANTILES) <= set(NAMES)


def test_scores_are_those_of_a_normal_distribution():
    assert pytest.approx([NormalDist().inv_cdf(level) for level in LEVELS], abs=1e-9) == SCORES


def uneven(count: int, seed: int = 3) -> np.ndarray:
    return np.sort(np.random.default_rng(seed).random((count, 11)), axis=1)


def test_pit_is_the_distribution_function_at_the_true_redshift():
    true = np.linspace(0.22, 0.38, 81)
    expected = [NormalDist(0.3, SIGMA).cdf(z) for z in true]
    assert distributions.pit(normal(81), true) == pytest.approx(expected, abs=0.02)
    at_quantiles = np.array([distributions.pit(normal(), normal()[:, place])[0] for place in range(len(LEVELS))])
    assert at_quantiles == pytest.approx(LEVELS, abs=1e-9)
    assert distributions.pit(normal(2), np.array([-1.0, 5.0])).tolist() == [0, 1]


@pytest.mark.parametrize("quantiles", [normal(200), uneven(200)], ids=["normal", "uneven"])
def test_pit_is_what_qp_reads_from_quantiles(quantiles: np.ndarray):
    qp = pytest.importorskip("qp")
    ensemble = qp.Ensemble(qp.quant, data={"quants": np.array(LEVELS), "locs": quantiles.astype(float)})
    low, high = distributions.padded(quantiles)[1][:, [0, -1]].T
    true = low - 0.1 + (high - low + 0.2) * np.random.default_rng(1).random(200)
    expected = np.clip(np.squeeze(ensemble.cdf(true[:, None])), 0, 1)  # its curve leaves the range here and there
    assert distributions.pit(quantiles, true) == pytest.approx(expected, abs=1e-9)


def test_pit_of_right_distributions_is_uniform_and_of_wrong_ones_is_not():
    true = 0.3 + SIGMA * np.random.default_rng(0).standard_normal(5000)
    assert distributions.uniform_distance(distributions.pit(normal(5000), true)) < 0.03
    assert distributions.uniform_distance(distributions.pit(normal(5000, 0.31), true)) > 0.15


def test_the_distance_from_uniform_is_that_of_scipy():
    stats = pytest.importorskip("scipy.stats")
    values = np.random.default_rng(0).random(300) ** 1.2
    assert distributions.uniform_distance(values) == pytest.approx(stats.kstest(values, "uniform").statistic)


def test_the_loss_is_that_of_the_density_and_lowest_for_the_right_one():
    true = 0.3 + SIGMA * np.random.default_rng(0).standard_normal(20_000)
    right = distributions.cde_loss(normal(20_000), true).mean()
    assert right == pytest.approx(-1 / (2 * math.sqrt(math.pi) * SIGMA), rel=0.03)
    assert right < distributions.cde_loss(normal(20_000, 0.31), true).mean()
    far = distributions.cde_loss(normal(2), np.array([-1.0, 5.0]))
    assert far[0] == far[1] > 0  # no density there, and only its square counts


def test_the_loss_is_what_an_integral_over_a_fine_grid_gives():
    quantiles = uneven(1)
    levels, z = distributions.padded(quantiles)
    slopes, middles = np.diff(levels) / np.diff(z[0]), (z[0, 1:] + z[0, :-1]) / 2
    grid = np.linspace(z[0, 0], z[0, -1], 2_000_001)
    density = np.interp(grid, middles, slopes, left=0, right=0)
    expected = np.trapezoid(density**2, grid) - 2 * np.interp(0.5, middles, slopes)
    assert distributions.cde_loss(quantiles, np.array([0.5]))[0] == pytest.approx(expected, rel=1e-4)


def test_intervals_hold_what_lies_between_their_quantiles():
    found = distributions.covered(normal(4), np.array([0.3, 0.3 + 1.5 * SIGMA, 0.3 - 1.5 * SIGMA, 0.3 + 3 * SIGMA]))
    assert found["coverage_68"].tolist() == [True, False, False, False]
    assert found["coverage_95"].tolist() == [True, True, True, False]


@pytest.mark.parametrize("measure", [distributions.pit, distributions.cde_loss])
def test_memory_does_not_grow_by_much_more_than_the_measures_of_many_galaxies(measure):
    few, many = 2 * distributions.MOST_ROWS, 10 * distributions.MOST_ROWS
    quantiles, true = np.tile(uneven(64), (many // 64, 1)), np.full(many, 0.5)
    peaks = {}
    for count in (few, many):
        tracemalloc.start()
        found = measure(quantiles[:count], true[:count])
        peaks[count] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert found == pytest.approx(np.tile(measure(quantiles[:64], true[:64]), count // 64), abs=1e-12)
    assert peaks[many] < 2 * peaks[few]
