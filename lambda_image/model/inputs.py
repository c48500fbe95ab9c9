"""What every engine takes: images and magnitudes of any floating-point type, checked before anything is computed."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lambda_image.data.sizes import PUBLISHED, Sizes


def as_inputs(
    images: ArrayLike, magnitudes: ArrayLike, sizes: Sizes = PUBLISHED
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Makes contiguous float32 arrays of an engine's inputs; arrays that are so already are not copied.

    Args:
        images: [N, bands, side, side].
        magnitudes: [N, M]. A network that takes none does not look at them.
        sizes: Bands, side and M of the network.

    Returns:
        Images and magnitudes.

    Raises:
        ValueError: The shapes are not these, or the values are not real numbers.
    """
    images = np.asarray(images)
    magnitudes = np.asarray(magnitudes) if sizes.magnitudes else np.empty((len(images), 0), np.float32)
    if images.shape[1:] != sizes.image or magnitudes.shape != (len(images), sizes.magnitudes):
        raise ValueError(
            f"images have the shape {list(images.shape)} and magnitudes {list(magnitudes.shape)}; "
            f"[N, {sizes.bands}, {sizes.side}, {sizes.side}] and [N, {sizes.magnitudes}] are needed"
        )
    for name, array in (("images", images), ("magnitudes", magnitudes)):
        if array.dtype.kind not in "fiu":
            raise ValueError(f"{name} are {array.dtype}; real numbers are needed")
    return np.ascontiguousarray(images, np.float32), np.ascontiguousarray(magnitudes, np.float32)
