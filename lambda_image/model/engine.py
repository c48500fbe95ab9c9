"""What answers: an engine takes arrays and gives redshifts. Chosen by setting; `eager` is the reference."""

from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lambda_image.model import checkpoint
from lambda_image.model.architecture import RedshiftModel


class Engine(Protocol):
    device: str
    parameters_mb: float

    def predict(self, images: NDArray[Any], magnitudes: NDArray[Any]) -> NDArray[np.float32]:
        """Redshifts [N] of galaxies with `images` float32 [N, 5, 32, 32] and `magnitudes` float32 [N, 5]."""
        ...


class Eager:
    """The model file as it reads, run by PyTorch operator by operator."""

    device = "cpu"

    def __init__(self, model: RedshiftModel, threads: int) -> None:
        import torch

        torch.set_num_threads(threads)
        self._model = model.eval()
        self.parameters_mb = sum(p.numel() * p.element_size() for p in model.parameters()) / 2**20

    def predict(self, images: NDArray[Any], magnitudes: NDArray[Any]) -> NDArray[np.float32]:
        import torch

        with torch.inference_mode():
            return self._model(torch.from_numpy(images), torch.from_numpy(magnitudes))[:, 0].numpy()


def load(path: Path, threads: int) -> Engine:
    """The engine for the weights at `path`; raises CheckpointError."""
    return Eager(checkpoint.load(path), threads)
