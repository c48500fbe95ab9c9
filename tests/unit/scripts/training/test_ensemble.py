import numpy as np
import torch

from scripts.training.ensemble import SCALE, Ensemble


def test_an_ensemble_answers_with_the_mean_of_its_members() -> None:
    layers = [torch.eye(2).repeat(2, 1, 1), torch.zeros(2, 1, 2)]
    last = [torch.tensor([[[1.0], [0.0]], [[0.0], [3.0]]]), torch.tensor([[[1.0]], [[0.0]]])]
    ensemble = Ensemble([*layers, *last], torch.tensor([1.0, 2.0]), torch.tensor([2.0, 4.0]))
    inputs = np.array([[3.0, 10.0], [1.0, 2.0]])
    expected = np.array([(1 + 1 + 3 * 2) / 2, 0.5]) * SCALE
    np.testing.assert_allclose(ensemble.predict(inputs), expected, rtol=1e-6)
