import numpy as np

from lambda_image.metrics import accuracy
from scripts.training.train import scores


def test_the_scores_are_those_of_every_other_command():
    truth = np.array([0.1, 0.4, 0.9, 1.6])
    predicted = truth + np.array([0.1, -0.2, 0.3, 0.6])
    found = accuracy(predicted, truth)
    assert scores(predicted, truth).endswith(f"NMAD {found.nmad:.5f}")
