"""Low precision by PyTorch, on either device: the large products in bfloat16, which keeps 8 bits of a number.

Those are nine tenths of all: attention, feed-forward and convolutions of the transformer's blocks, and the Inception
blocks. Measured on the sample galaxies with the shipped weights, they change redshifts by 2e-4 at most; the layers for
magnitudes would by 9e-2, since a magnitude of 20 is then known to 0.06, and the last layers by 8e-4. So these stay in
float32, as do the sums that run through all blocks, the norms, and the small layers, which would gain nothing.
"""

import torch
from torch import Tensor, nn

from lambda_image.model.architecture import InceptionBlock, RedshiftModel


class InBfloat16(nn.Module):
    """A layer that is given float32 and gives float32. Its batch norms keep their statistics in float32."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer.bfloat16()
        for part in layer.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.float()

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.layer(x.to(torch.bfloat16))
        return answer.float()


def lower(model: RedshiftModel) -> RedshiftModel:
    """The model with its large products in bfloat16: changed in place."""
    for block in model.blocks:
        for name in ("attn", "mlp", "PCM"):
            setattr(block, name, InBfloat16(getattr(block, name)))
    layers = model.inception_model.vis_inception
    for index, layer in enumerate(layers):
        if isinstance(layer, InceptionBlock):
            layers[index] = InBfloat16(layer)
    return model
