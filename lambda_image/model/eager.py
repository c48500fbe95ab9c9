"""The reference engine: the model file as it reads, run by PyTorch operator by operator."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lambda_image.model.architecture import RedshiftModel


class Eager:
    name, device = "eager", "cpu"

    def __init__(self, model: RedshiftModel, threads: int) -> None:
        torch.set_num_threads(threads)
        self._model = model.eval()
        self.parameters_mb = sum(p.numel() * p.element_size() for p in model.parameters()) / 2**20

    def predict(self, images: NDArray[Any], magnitudes: NDArray[Any]) -> NDArray[np.float32]:
        with torch.inference_mode():
            return self._model(torch.from_numpy(images), torch.from_numpy(magnitudes))[:, 0].numpy()
