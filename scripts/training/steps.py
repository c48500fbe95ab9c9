"""The steps of a training: one cosine over them, averaged weights, and checkpoints to go on from."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from lambda_image.atomic_file import atomic_file

AVERAGING = 0.998  # of the exponential moving average of the weights, per step
WARM_UP = 0.03  # of the steps


@dataclass
class Pace:
    """How much of a training is done. It ends by steps, so that a seed gives the same weights on a faster machine."""

    steps: int
    step: int = 0
    before: float = 0.0  # seconds of the runs that this one goes on from
    started: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        return self.before + time.monotonic() - self.started

    @property
    def done(self) -> float:
        return min(1.0, self.step / self.steps)

    def rate(self) -> float:
        """The share of the full learning rate: a linear warm-up, then a cosine."""
        return min(1, self.done / WARM_UP + 1e-3) * (1 + math.cos(math.pi * self.done)) / 2


def train(
    network: nn.Module,
    loss: Callable[[float], Tensor],
    groups: list[dict[str, object]],
    pace: Pace,
    report: Callable[[int, float, float], None],
    generator: torch.Generator,
    checkpoint: Path | None = None,
    checkpoint_every_s: float = 180.0,
) -> None:
    """AdamW until `pace` is done; afterwards `network` holds the moving average of its weights.

    Args:
        network: what is trained.
        loss: the loss of one batch, of the share that is done.
        groups: the optimiser's, each with its own full learning rate.
        pace: says when it ends.
        report: told every 50 steps the step, the seconds and the mean loss.
        generator: what `loss` draws from. Checkpoints hold its state, so that an interruption changes no weight.
        checkpoint: a file that is written now and then, and gone on from if it is there.
        checkpoint_every_s: seconds between two of them.
    """
    optimiser = torch.optim.AdamW(groups, weight_decay=1e-4, fused=True)
    full = [float(str(group["lr"])) for group in optimiser.param_groups]
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    average = [parameter.detach().clone() for parameter in parameters]
    if checkpoint and checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        network.load_state_dict(state["network"])
        optimiser.load_state_dict(state["optimiser"])
        average = state["average"]
        generator.set_state(state["generator"])
        pace.step, pace.before = state["step"], state["seconds"]
    running, saved = 0.0, time.monotonic()
    while pace.done < 1:
        for group, rate in zip(optimiser.param_groups, full, strict=True):
            group["lr"] = rate * pace.rate()
        value = loss(pace.done)
        optimiser.zero_grad()
        torch.autograd.backward(value)
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        pace.step += 1
        keep = min(AVERAGING, pace.step / (pace.step + 10))
        torch._foreach_lerp_(average, [p.detach() for p in parameters], 1 - keep)
        running += (value.item() - running) / min(pace.step, 50)
        if pace.step % 50 == 0:
            report(pace.step, pace.seconds, running)
        if checkpoint and time.monotonic() - saved > checkpoint_every_s:
            state = {"network": network.state_dict(), "optimiser": optimiser.state_dict(), "average": average}
            state |= {"generator": generator.get_state()}
            write(state | {"step": pace.step, "seconds": pace.seconds}, checkpoint)
            saved = time.monotonic()
    with torch.no_grad():
        for parameter, mean in zip(parameters, average, strict=True):
            parameter.copy_(mean)


def write(state: dict[str, object], checkpoint: Path) -> None:
    with atomic_file(checkpoint) as partial:
        torch.save(state, partial)
