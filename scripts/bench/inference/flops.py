"""The floating point operations of the model."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from lambda_image.model import checkpoint


def flops_per_sample(model: str) -> int:
    """Return the operations that one galaxy takes, where a multiplication with its addition counts as two."""
    network = checkpoint.load(model)
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 5, 32, 32), torch.zeros(1, 5))
    return int(counter.get_total_flops())
