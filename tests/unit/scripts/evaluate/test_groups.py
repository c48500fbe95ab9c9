import itertools

import numpy as np
import pytest

from lambda_image.data.predictions import Predictions
from scripts.evaluate.groups import ALL, bins
from tests.unit.scripts.evaluate.galaxies import predictions


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_bins_of_a_group_hold_every_galaxy_once_and_as_many_each(count: int):
    galaxies = predictions(403)
    found = list(bins(galaxies, count))
    assert found[0].group == ALL
    for group in {one.group for one in found}:
        rows = [one.rows for one in found if one.group == group]
        assert np.sort(np.concatenate(rows)).tolist() == list(range(403))
        assert max(map(len, rows)) - min(map(len, rows)) <= 2


def test_bins_follow_one_another_without_overlap():
    found = [one for one in bins(predictions(), 5) if one.group == "colour g - r"]
    assert all(before.high <= after.low for before, after in itertools.pairwise(found))
    assert len(found) == 5


def test_galaxies_that_are_alike_share_a_bin():
    galaxies = Predictions.of_partition("", 0, np.full((50, 5), 17.0), np.full(50, 0.1), np.linspace(0, 1, 50))
    found = [one.group for one in bins(galaxies, 5)]
    assert found.count("magnitude r") == found.count("predicted redshift") == 1
    assert found.count("true redshift") == 5


@pytest.mark.parametrize(
    ("magnitudes", "groups"),
    [(0, []), (1, ["magnitude 1"]), (4, ["magnitude 3", "colour 2 - 3"]), (5, ["magnitude r", "colour g - r"])],
)
def test_any_number_of_magnitudes_will_do(magnitudes: int, groups: list[str]):
    rng = np.random.default_rng(0)
    galaxies = Predictions.of_partition("", 0, rng.random((40, magnitudes)), rng.random(40), rng.random(40))
    assert list(dict.fromkeys(one.group for one in bins(galaxies, 3))) == [
        ALL,
        *groups,
        "predicted redshift",
        "true redshift",
    ]
