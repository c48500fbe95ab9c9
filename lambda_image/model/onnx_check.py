"""Whether a network that came as an ONNX file answers for each galaxy alone, as every engine here must.

The same galaxies are predicted in batches of several sizes. A network that was exported in train mode fails that, since
its batch norms take the mean of whatever else is in the batch. So does one whose layers mix rows.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from lambda_image.data.sizes import Sizes

BATCHES = (1, 7, 512)
QUICK_BATCHES = (1, 7)  # at each start of a rank
# In redshift, or relative to one above 1: far above what the order of sums makes of float32, and a tenth of the errors
# of the best redshifts.
TOLERANCE = 1e-3
SEED = 0
MAX_VALUES = 1 << 27  # of images in the largest batch: 512 MB


Answer = Callable[[NDArray[np.float32], NDArray[np.float32]], Sequence[NDArray[np.float32]]]


def batch_problem(
    answer: Answer, sizes: Sizes, batches: Sequence[int] = BATCHES, max_values: int = MAX_VALUES
) -> str | None:
    """Asks for the same galaxies in batches of different sizes.

    Args:
        answer: Gives one or several values [N] for images and magnitudes of N galaxies.
        sizes: Those of the galaxies.
        batches: How many galaxies are in each batch. Of large galaxies there are fewer.
        max_values: Of images in the largest batch.

    Returns:
        What is wrong with the answers, or None where they are finite and the same in every batch.
    """
    most = max(1, max_values // math.prod(sizes.image))
    counts = sorted({min(count, most) for count in batches})
    images, magnitudes = _galaxies(sizes, counts[-1])
    smaller, expected = 0, None
    for count in counts:
        answers = np.stack(answer(images[:count], magnitudes[:count]))
        if not np.isfinite(answers).all():
            return f"it answers {answers[~np.isfinite(answers)][0]} of a galaxy that is sound"
        if expected is not None:
            apart = (np.abs(answers[:, :smaller] - expected) / np.maximum(1, np.abs(expected))).max()
            if apart > TOLERANCE:
                return (
                    f"what it says of a galaxy depends on the others in its batch, by {apart:.2g} between batches of "
                    f"{smaller} and {count}: export it in eval mode (network.eval()), with no layer that mixes galaxies"
                )
        smaller, expected = count, answers
    return None


def _galaxies(sizes: Sizes, count: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    rng = np.random.default_rng(SEED)
    images = rng.standard_exponential((count, *sizes.image), np.float32)
    return images, 18 + 2 * rng.standard_normal((count, sizes.magnitudes), np.float32)
