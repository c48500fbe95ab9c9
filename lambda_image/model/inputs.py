"""What every engine takes: images and magnitudes of any floating-point type, checked before anything is computed."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

BANDS, SIDE = 5, 32  # of the published network
IMAGE = (BANDS, SIDE, SIDE)


def as_inputs(
    images: ArrayLike, magnitudes: ArrayLike, bands: int = BANDS, side: int = SIDE
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Makes contiguous float32 arrays of an engine's inputs; arrays that are so already are not copied.

    Args:
        images: [N, bands, side, side].
        magnitudes: [N, bands].
        bands: How many bands the network takes.
        side: Pixels of an image's side.

    Returns:
        Images and magnitudes.

    Raises:
        ValueError: The shapes are not these, or the values are not real numbers.
    """
    images, magnitudes = np.asarray(images), np.asarray(magnitudes)
    row = (bands, side, side)
    if images.shape[1:] != row or magnitudes.shape != (len(images), bands):
        raise ValueError(
            f"images have the shape {list(images.shape)} and magnitudes {list(magnitudes.shape)}; "
            f"[N, {bands}, {side}, {side}] and [N, {bands}] are needed"
        )
    for name, array in (("images", images), ("magnitudes", magnitudes)):
        if array.dtype.kind not in "fiu":
            raise ValueError(f"{name} are {array.dtype}; real numbers are needed")
    return np.ascontiguousarray(images, np.float32), np.ascontiguousarray(magnitudes, np.float32)
