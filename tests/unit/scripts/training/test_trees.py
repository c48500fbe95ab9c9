"""The answer of several fits; how they are fitted, which takes seconds to import, is in tests/integration."""

import numpy as np

from scripts.galaxies import Array
from scripts.training.trees import Trees


class Constant:
    def __init__(self, redshift: float) -> None:
        self.redshift = redshift

    def predict(self, inputs: Array) -> Array:
        return np.full(len(inputs), self.redshift)


def test_the_answer_is_the_mean_of_the_fits() -> None:
    answer = Trees([Constant(0.1), Constant(0.2)]).predict(np.zeros((3, 5)))
    np.testing.assert_allclose(answer, [0.15] * 3)
