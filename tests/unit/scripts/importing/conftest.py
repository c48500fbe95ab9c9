from typing import NamedTuple

import numpy as np
import pytest

from scripts.galaxies import Mixture, render

N = 12


class Sample(NamedTuple):
    """What the files of these tests hold; images are in nanomaggies, and magnitudes AB."""

    images: np.ndarray  # float32 [N, 5, 32, 32]
    magnitudes: np.ndarray  # float32 [N, 5]
    redshifts: np.ndarray  # float32 [N]
    ids: np.ndarray  # int64 [N], of 18 digits
    ra: np.ndarray  # float64 [N]

    @property
    def wide(self) -> np.ndarray:
        """The images with four more pixels on each side."""
        return np.pad(self.images, ((0, 0), (0, 0), (4, 4), (4, 4)))


@pytest.fixture(scope="session")
def sample() -> Sample:
    rng = np.random.default_rng(11)
    magnitudes, redshifts = Mixture.shipped().draw(N, rng)
    ids = 123_456_789_012_345_678 + rng.permutation(N) * 7
    return Sample(render(magnitudes, rng), magnitudes, redshifts, ids, rng.uniform(0, 360, N))
