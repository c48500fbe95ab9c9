"""The network as it is trained: behind inputs of unit scale, with outputs that only the training uses."""

from collections.abc import Iterable, Iterator
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from lambda_image.model.architecture import Block, RedshiftModel
from scripts.galaxies import COLOURS, Array
from scripts.training.ensemble import SCALE, Ensemble

REDSHIFT_SCALE = SCALE
ABOVE_ZERO = 8.0  # added to numbers of unit scale that a ReLU is to let pass
COLOURS_TENSOR = torch.tensor(COLOURS, dtype=torch.float32)


class Standardised(nn.Module):
    """The network behind inputs of unit scale, which train well; `fold` moves the scaling into its first layers."""

    def __init__(self, model: RedshiftModel, magnitudes: Array, images: Array) -> None:
        super().__init__()
        self.model = model
        colours = magnitudes.astype(np.float64) @ COLOURS.T
        axes = COLOURS / colours.std(axis=0)[:, None]
        self.axes = torch.tensor(axes, dtype=torch.float32)
        self.middle = torch.tensor(magnitudes.mean(axis=0, dtype=np.float64), dtype=torch.float32)
        self.flux = torch.tensor(images.std(axis=(0, 2, 3)))
        bands = model.config.bands
        # What images show beside the magnitudes, learnt along with the redshifts; weights files do not hold it.
        self.photometry = nn.Linear(model.config.image_features, bands)
        self.differences = nn.Linear(model.config.head_features, bands)
        model.inception_model.vis_inception.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, images: Tensor, of_magnitudes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Answers of galaxies.

        The Inception branch runs in channels-last float32. Processors without bfloat16 take four times longer in that.

        Args:
            images: [N, 5, 32, 32].
            of_magnitudes: the magnitude branch's features, of `magnitude_features`.

        Returns:
            Redshifts [N] in units of REDSHIFT_SCALE, Petrosian less model magnitudes [N, 5], and r and the colours
            [N, 5] of the light in the images.
        """
        scaled = (images / self.flux[:, None, None]).contiguous(memory_format=torch.channels_last)
        seen = self.model.inception_model.vis_inception(scaled)
        first = cast(nn.Linear, self.model.concat_block[0])
        joined = torch.cat((seen, of_magnitudes), dim=1)
        hidden = nn.functional.relu(nn.functional.linear(joined, first.weight[:, -joined.shape[1] :], first.bias))
        return self.model.concat_block[2](hidden)[:, 0], self.differences(hidden), self.photometry(seen)

    @torch.no_grad()
    def magnitude_features(self, magnitudes: Tensor) -> Tensor:
        """The magnitude branch's features of magnitudes [N, 5]."""
        scaled = (magnitudes - self.middle) @ self.axes.T
        return torch.cat([self.model.inception_model.magnitude_block(part) for part in torch.split(scaled, 2048)])

    @torch.no_grad()
    def embed(self, ensemble: Ensemble) -> None:
        """Makes the magnitude branch and one unit of the head give an ensemble's answer.

        Its hidden units lie side by side in the first layers, r and the colours pass beside them, and the other layers
        pass all on. The other units of the head get small weights, and the transformer's features none.
        """
        first, second, *others = (
            layer for layer in self.model.inception_model.magnitude_block if isinstance(layer, nn.Linear)
        )
        members, _, width = ensemble.parameters[0].shape
        units, bands = members * width, len(self.axes)
        if units + bands > first.out_features:
            raise ValueError(f"{members} networks of {width} units and {bands} axes need {first.out_features} units")
        for layer in (first, second, *others):
            layer.weight.zero_()
            layer.bias.zero_()
        # The ensemble's inputs from the branch's.
        spread = (COLOURS_TENSOR / self.axes).nan_to_num(0).amax(dim=1)
        shift = (COLOURS_TENSOR @ self.middle - ensemble.middle) / ensemble.spread
        for member in range(members):
            rows = slice(member * width, (member + 1) * width)
            inner, bias, deeper, deeper_bias, *_ = (tensor[member] for tensor in ensemble.parameters)
            first.weight[rows] = inner.T * (spread / ensemble.spread)
            first.bias[rows] = bias[0] + shift @ inner
            second.weight[rows, rows] = deeper.T
            second.bias[rows] = deeper_bias[0]
        passed = slice(units, units + bands)
        first.weight[passed] = torch.eye(bands)
        first.bias[passed] = ABOVE_ZERO
        second.weight[passed, passed] = torch.eye(bands)
        for layer in others:
            layer.weight[: units + bands, : units + bands] = torch.eye(units + bands)
        others[-1].bias[passed] = -ABOVE_ZERO
        self._embed_in_head(ensemble, units, bands)

    def _embed_in_head(self, ensemble: Ensemble, units: int, bands: int) -> None:
        head, last = cast(nn.Linear, self.model.concat_block[0]), cast(nn.Linear, self.model.concat_block[2])
        images = 2 * self.model.config.image_features
        nn.init.kaiming_normal_(head.weight[:, images // 2 : images], nonlinearity="relu")
        head.weight[:, : images // 2] = 0
        head.weight[:, images:] = 0
        nn.init.normal_(head.weight[:, images + units : images + units + bands], std=0.3)
        nn.init.normal_(head.bias, std=0.3)
        nn.init.normal_(last.weight, std=1e-3)
        outer, outer_bias = ensemble.parameters[4], ensemble.parameters[5]
        head.weight[0] = 0
        head.weight[0, images : images + units] = outer.flatten() / len(outer)
        head.bias[0] = outer_bias.mean() + ABOVE_ZERO
        last.weight[0, 0] = 1
        last.bias[0] = -ABOVE_ZERO

    @torch.no_grad()
    def fold(self) -> RedshiftModel:
        """The network for plain inputs. The standardised one is of no use afterwards."""
        self.model.inception_model.vis_inception.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        for convolution in self._first_convolutions():
            convolution.weight /= self.flux[:, None, None]
        first, last = self._ends()
        weight = first.weight.double() @ self.axes.double()
        first.bias.sub_((weight @ self.middle.double()).float())
        first.weight.copy_(weight)
        last.weight.mul_(REDSHIFT_SCALE)
        last.bias.mul_(REDSHIFT_SCALE)
        return self.model

    @torch.no_grad()
    def unfold(self) -> None:
        """Moves the scaling out of the layers of a network for plain inputs, to train it further."""
        for convolution in self._first_convolutions():
            convolution.weight *= self.flux[:, None, None]
        first, last = self._ends()
        first.bias.add_((first.weight.double() @ self.middle.double()).float())
        first.weight.copy_(first.weight.double() @ torch.linalg.inv(self.axes.double()))
        last.weight.div_(REDSHIFT_SCALE)
        last.bias.div_(REDSHIFT_SCALE)

    def _first_convolutions(self) -> tuple[nn.Conv2d, nn.Conv2d]:
        return self.model.patch_embed.proj, cast(nn.Conv2d, self.model.inception_model.vis_inception[0])

    def _ends(self) -> tuple[nn.Linear, nn.Linear]:
        return (
            cast(nn.Linear, self.model.inception_model.magnitude_block[0]),
            cast(nn.Linear, self.model.concat_block[-1]),
        )


def initialise(model: RedshiftModel) -> None:
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for block in cast(
        Iterable[Block], model.blocks
    ):  # residual branches begin small, so that twelve of them do not drown the input
        for last in (block.attn.proj, block.mlp.fc2, cast(nn.Conv2d, block.PCM[-1])):
            nn.init.normal_(last.weight, std=0.01)
    nn.init.normal_(model.pos_embed, std=0.02)
    nn.init.normal_(model.cls_token, std=0.02)


@torch.no_grad()
def answer_to_magnitudes(model: RedshiftModel, magnitudes: Array) -> Array | None:
    """What a network for plain inputs answers to magnitudes only, by the unit of the head that `embed` made.

    Args:
        model: the network.
        magnitudes: [N, 5].

    Returns:
        Redshifts [N], or None if that unit sees other features, too, as in networks that were trained in another way.
    """
    head, last = cast(nn.Linear, model.concat_block[0]), cast(nn.Linear, model.concat_block[2])
    others = 2 * model.config.image_features  # of the transformer and the Inception branch
    if head.weight[0, :others].any():
        return None
    features = model.inception_model.magnitude_block(torch.tensor(magnitudes, dtype=torch.float32))
    hidden = nn.functional.relu(features @ head.weight[0, others:] + head.bias[0])
    answer: Array = (last.weight[0, 0] * (hidden - ABOVE_ZERO)).double().numpy()
    return answer


@torch.no_grad()
def calibrate_batch_norms(network: Standardised, batches: Iterator[tuple[Tensor, Tensor]]) -> None:
    """Measures the running statistics anew: those gathered in training belong to older weights."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average
    network.train()
    for images, magnitudes in batches:
        network(images, magnitudes)
    network.eval()
