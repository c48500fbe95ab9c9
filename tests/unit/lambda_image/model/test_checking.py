import numpy as np
import pytest

from lambda_image.errors import CheckpointError
from lambda_image.model import checkpoint
from lambda_image.model.checking import Reference, Sample, check_low_precision


@pytest.fixture(scope="module")
def reference(compiled_golden, golden_sample):
    return Reference(checkpoint.load(compiled_golden), [golden_sample], threads=1)


@pytest.mark.parametrize("error", [1e-4, np.nan])
def test_answers_that_differ_are_refused(reference, golden_sample, error):
    exact = reference.exact[0]
    reference.check(lambda images, magnitudes: exact)
    with pytest.raises(CheckpointError, match="differs from the reference"):
        reference.check(lambda images, magnitudes: exact + error * (np.arange(len(exact)) == 3))


def test_a_difference_is_allowed_as_far_as_the_reference_is_off(reference):
    check = reference.check(lambda images, magnitudes: reference.eager[0])
    assert check.max_difference == check.eager_max_difference
    assert check.allowed == pytest.approx(max(1e-5, 2 * check.eager_max_difference))


@pytest.mark.parametrize(
    ("error", "passes"), [(0.0, True), (1e-4, True), (3e-4, False), ([0, 0, 3e-3, 0, 0, 0], False), (np.nan, False)]
)
def test_low_precision_may_differ_a_little(error, passes):
    redshifts = np.array([0.1, 0.2, 0.05, 0.3, 0.15, 0.25], np.float32)
    galaxies = Sample(np.zeros((6, 5, 32, 32), np.float32), np.zeros((6, 5), np.float32), redshifts)
    eager = redshifts + np.float32(0.001)

    def judge():
        return check_low_precision(lambda images, magnitudes: eager, lambda images, magnitudes: eager + error, galaxies)

    if passes:
        assert judge().max_difference <= 2e-4
    else:
        with pytest.raises(CheckpointError, match="low precision changes redshifts"):
            judge()
