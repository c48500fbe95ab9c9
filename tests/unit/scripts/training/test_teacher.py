import numpy as np
import torch

from scripts.galaxies import Array
from scripts.training.ensemble import SCALE, Ensemble
from scripts.training.teacher import CLIPPED, TREES_SHARE, Committee, profile_inputs
from scripts.training.trees import Trees


def test_profiles_are_colours_and_clipped_differences_of_all_bands_but_u() -> None:
    magnitudes = np.array([[19.0, 18.0, 17.4, 17.1, 16.8]])
    petrosian = magnitudes + np.array([[9.0, 0.1, -0.2, 3.0, 0.0]])
    expected = [[17.4, 1.0, 0.6, 0.3, 0.3, 0.1, -0.2, CLIPPED, 0.0]]
    np.testing.assert_allclose(profile_inputs(magnitudes, petrosian), expected, atol=1e-9)


class Nothing:
    def predict(self, inputs: Array) -> Array:
        return np.zeros(len(inputs))


def test_trees_have_their_share_beside_small_networks() -> None:
    always_one = [torch.zeros(1, 2, 1), torch.ones(1, 1, 1)]
    networks = Ensemble(always_one, torch.zeros(2), torch.ones(2))
    answer = Committee(networks, Trees([Nothing()])).predict(np.zeros((3, 2)))
    np.testing.assert_allclose(answer, [(1 - TREES_SHARE) * SCALE] * 3, rtol=1e-6)
