import numpy as np

from scripts.training.teacher import CLIPPED, profile_inputs


def test_profiles_are_colours_and_clipped_differences_of_all_bands_but_u() -> None:
    magnitudes = np.array([[19.0, 18.0, 17.4, 17.1, 16.8]])
    petrosian = magnitudes + np.array([[9.0, 0.1, -0.2, 3.0, 0.0]])
    expected = [[17.4, 1.0, 0.6, 0.3, 0.3, 0.1, -0.2, CLIPPED, 0.0]]
    np.testing.assert_allclose(profile_inputs(magnitudes, petrosian), expected, atol=1e-9)
