"""What tests/data keeps of the reference model, made anew in float64."""

import numpy as np

from tests.data import make


def test_the_kept_tensors_and_redshifts_are_what_the_network_has_and_answers(seeded_model):
    """Then `python -m tests.data.make` would change nothing but the last digits, which depend on the machine."""
    assert make.shapes() == {name: list(array.shape) for name, array in seeded_model.tensors.items()}
    np.testing.assert_allclose(make.redshifts(), seeded_model.redshifts, rtol=1e-12)
