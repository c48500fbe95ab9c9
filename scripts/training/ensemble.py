"""Small networks on numbers, several trained side by side: teachers, and those that the magnitude branch is made of."""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from scripts.calibrate.fitting import one_thread
from scripts.galaxies import Array

HIDDEN = 64  # units of each of a network's two hidden layers, unless told
BATCH = 256
SCALE = 0.05  # about the redshifts' standard deviation: losses near 1


@dataclass(frozen=True)
class Ensemble:
    """Networks with two hidden layers; their answer is the mean of the members'."""

    parameters: list[Tensor]  # per layer weights [K, in, out] and biases [K, 1, out]
    middle: Tensor
    spread: Tensor

    def members(self, scaled: Tensor) -> Tensor:
        """Answers [K, N], in units of SCALE, of inputs [K, N, F] of unit scale."""
        x = scaled
        for layer in range(0, len(self.parameters), 2):
            x = torch.baddbmm(self.parameters[layer + 1], x, self.parameters[layer])
            if layer < len(self.parameters) - 2:
                x = nn.functional.relu(x)
        return x[..., 0]

    @torch.no_grad()
    def predict(self, inputs: Array) -> Array:
        """Redshifts [N] of inputs [N, F]."""
        count = len(self.parameters[0])
        scaled = (torch.tensor(inputs, dtype=torch.float32) - self.middle) / self.spread
        answer: Array = self.members(scaled.expand(count, -1, -1)).mean(dim=0).double().numpy() * SCALE
        return answer


def fit_ensemble(
    inputs: Array, redshifts: Array, *, members: int = 5, hidden: int = HIDDEN, steps: int = 3000, seed: int = 0
) -> Ensemble:
    """Trains networks on galaxies with `inputs` [N, F], each from other initial weights and in another order."""
    with one_thread():
        return _fit(inputs, redshifts, members, hidden, steps, seed)


def _fit(inputs: Array, redshifts: Array, members: int, hidden: int, steps: int, seed: int) -> Ensemble:
    generator = torch.Generator().manual_seed(seed)
    x = torch.tensor(inputs, dtype=torch.float32)
    y = torch.tensor(redshifts / SCALE, dtype=torch.float32)
    widths = (x.shape[1], hidden, hidden, 1)
    parameters: list[Tensor] = []
    for wide_in, wide_out in pairwise(widths):
        parameters.append(torch.randn(members, wide_in, wide_out, generator=generator) / wide_in**0.5)
        parameters.append(torch.zeros(members, 1, wide_out))
    parameters[-1] += y.mean()
    ensemble = Ensemble([p.requires_grad_() for p in parameters], x.mean(dim=0), x.std(dim=0))
    scaled = (x - ensemble.middle) / ensemble.spread
    optimiser = torch.optim.AdamW(parameters, lr=3e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps)
    for _ in range(steps):
        rows = torch.randint(len(x), (members, BATCH), generator=generator)
        loss = nn.functional.smooth_l1_loss(ensemble.members(scaled[rows]), y[rows]) * members
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        schedule.step()
    return ensemble
