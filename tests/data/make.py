"""Makes tensors.json and redshifts.json anew: `python -m tests.data.make`.

A change of these files says that the network has other tensors or answers otherwise, so it needs a reason.
"""

import json

import numpy as np
import torch
from numpy.typing import NDArray

from lambda_image.model.architecture import ModelConfig, RedshiftModel
from tests.data.reference_model import REDSHIFTS, TENSORS, galaxies, tensor


def shapes() -> dict[str, list[int]]:
    """Return the shape of each tensor of the network by its name."""
    with torch.device("meta"):
        state = RedshiftModel(ModelConfig()).state_dict()
    return {name: list(tensor.shape) for name, tensor in state.items() if tensor.is_floating_point()}


def redshifts() -> NDArray[np.float64]:
    """Return what the network answers in float64, as float64 [N]."""
    model = RedshiftModel(ModelConfig()).double().eval()
    state = {name: torch.from_numpy(tensor(name, tuple(shape))) for name, shape in shapes().items()}
    model.load_state_dict(state, strict=False)  # the counters of batch norms are integers, and never used
    with torch.inference_mode():
        return model(*(torch.from_numpy(array).double() for array in galaxies()))[:, 0].numpy()


if __name__ == "__main__":
    lines = ",\n".join(f"  {json.dumps(name)}: {shape}" for name, shape in shapes().items())
    TENSORS.write_text(f"{{\n{lines}\n}}\n")
    REDSHIFTS.write_text(json.dumps(redshifts().tolist(), indent=1) + "\n")
