"""Which galaxies are fitted. The fit itself, by scikit-learn, is in tests/integration."""

import numpy as np
import pytest

from scripts.fit_mixture import COLOURS, hold_out


@pytest.mark.parametrize(("count", "held"), [(5000, 1000), (50, 10), (10, 10)])
def test_each_galaxy_is_fitted_or_held_out_and_always_the_same_ones_are(count: int, held: int) -> None:
    kept, aside = hold_out(count, held)
    assert len(aside) == held
    assert sorted([*kept, *aside]) == list(range(count))
    np.testing.assert_array_equal(hold_out(count, held)[1], aside)


def test_magnitudes_can_be_had_back_from_r_and_the_colours() -> None:
    assert np.linalg.matrix_rank(COLOURS) == 5
    magnitudes = np.array([20.0, 18.5, 17.9, 17.6, 17.4])
    np.testing.assert_allclose(COLOURS @ magnitudes, [17.9, 1.5, 0.6, 0.3, 0.2])
    np.testing.assert_allclose(np.linalg.solve(COLOURS, COLOURS @ magnitudes), magnitudes)
