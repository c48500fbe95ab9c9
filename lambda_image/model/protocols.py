"""What an engine is to those who use one."""

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lambda_image.data.sizes import Sizes
from lambda_image.model.engine_files import Device


class Engine(Protocol):
    """Predicts redshifts from images and magnitudes.

    Attributes:
        name: Which engine it is: fast, int8, eager, bf16 or onnx.
        device: Where it computes: cpu or cuda.
        parameters_mb: Size of the weights in MB of 2**20 bytes.
        sizes: Bands and side of the images, and how many magnitudes.
    """

    name: str
    device: Device
    parameters_mb: float
    sizes: Sizes

    def predict(self, images: ArrayLike, magnitudes: ArrayLike) -> NDArray[np.float32]:
        """Predicts the redshifts of N galaxies, which may be none.

        The engine of `load_engine` answers NaN where a redshift would mean nothing, as a run does. This concerns
        galaxies with a pixel or a magnitude that is not finite or a placeholder such as -9999. `quality` tells them.

        Args:
            images: [N, bands, side, side] in nanomaggies per pixel, for the published network [N, 5, 32, 32] in the
                bands u, g, r, i, z. Any type of real numbers will do. Images with the bands last, as files may hold
                them, are cut out and transposed by `read_dataset`.
            magnitudes: [N, M], in the same bands. A network without magnitudes does not look at them.

        Returns:
            Redshifts float32 [N], NaN where there is none.

        Raises:
            ValueError: The shapes are not these, or the values are not real numbers.
        """
        ...


@runtime_checkable
class UncertainEngine(Protocol):
    """Is an engine that also says how uncertain each redshift is."""

    def predict_with_errors(
        self, images: ArrayLike, magnitudes: ArrayLike
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Predicts as `predict` does.

        Args:
            images: As `predict` takes them.
            magnitudes: As `predict` takes them.

        Returns:
            Redshifts and their uncertainties, float32 [N] each.

        Raises:
            ValueError: As `predict` says.
        """
        ...
