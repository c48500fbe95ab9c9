import numpy as np
import pytest

from lambda_image.errors import CheckpointError
from lambda_image.model import checkpoint
from lambda_image.model.architecture import ModelConfig
from lambda_image.model.engine_check import Reference, Sample, check_low_precision
from lambda_image.model.engine_files import MAX_DIFFERENCE


@pytest.fixture(scope="module")
def reference(seeded_model, tmp_path_factory):
    path = tmp_path_factory.mktemp("seeded") / "model.safetensors"
    checkpoint.save(path, seeded_model.tensors, ModelConfig())
    sample = Sample(seeded_model.images[:8], seeded_model.magnitudes[:8])
    return Reference(checkpoint.load(path), [sample], threads=1)


@pytest.mark.parametrize("error", [1e-4, np.nan])
def test_answers_that_differ_are_refused(reference, error):
    exact = reference.exact[0]
    reference.check(lambda images, magnitudes: exact, MAX_DIFFERENCE)
    with pytest.raises(CheckpointError, match="differ from the reference"):
        reference.check(lambda images, magnitudes: exact + error * (np.arange(len(exact)) == 3), MAX_DIFFERENCE)


@pytest.mark.parametrize(
    ("error", "passes"), [(0.0, True), (1e-4, True), (3e-4, False), ([0, 0, 3e-3, 0, 0, 0], False), (np.nan, False)]
)
def test_low_precision_may_differ_a_little(error, passes):
    redshifts = np.array([0.1, 0.2, 0.05, 0.3, 0.15, 0.25], np.float32)
    galaxies = Sample(np.zeros((6, 5, 32, 32), np.float32), np.zeros((6, 5), np.float32), redshifts)
    eager = redshifts + np.float32(0.001)

    def judge():
        return check_low_precision(
            "int8", lambda images, magnitudes: eager, lambda images, magnitudes: eager + error, galaxies
        )

    if passes:
        assert judge().max_difference <= 2e-4
    else:
        with pytest.raises(CheckpointError, match="compile these weights without --int8"):
            judge()
