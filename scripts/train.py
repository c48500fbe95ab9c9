"""Trains the weights that ship with the project: python -m scripts.train --help

The network learns the expected redshift of galaxies drawn from the mixture model, a target without the scatter of
single redshifts, and, where a catalogue of real galaxies is given, also from these and from smoother mixtures fitted to
them. First the magnitude branch and the head alone, which is quick, then the whole network on rendered images.
"""

import argparse
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from lambda_image.metrics import accuracy
from lambda_image.model.architecture import Block, ModelConfig, RedshiftModel
from lambda_image.model.checkpoint import save
from scripts.fit_mixture import COLOURS, fit, hold_out
from scripts.galaxies import Array, Mixture, load_catalogue, render

REAL_SHARE = 1 / 8  # of each batch, where there is a catalogue
SMOOTH_FITS, SMOOTH_COMPONENTS = 6, 30  # 30 components describe held-out galaxies best; averaging fits steadies them
SMOOTH_WEIGHT = 0.35  # theirs in the target; the rest is the mixture's own, whose draws the samples are
REDSHIFT_SCALE = 0.05  # about the redshifts' standard deviation: losses near 1
AVERAGING = 0.998  # of the exponential moving average of the weights, per step


@dataclass(frozen=True)
class Teacher:
    """Magnitudes to learn from, and what to answer for them."""

    mixture: Mixture
    smooth: Sequence[Mixture]
    real: tuple[Array, Array] | None

    def batch(self, size: int, rng: np.random.Generator, *, with_real: bool = True) -> tuple[Array, Array]:
        """Magnitudes [size, 5] and target redshifts [size]."""
        real = int(size * REAL_SHARE) if self.real and with_real else 0
        magnitudes, _ = self.mixture.draw(size - real, rng)
        target = self.mixture.expected_redshift(magnitudes)
        if self.smooth:
            smooth = np.mean([m.expected_redshift(magnitudes) for m in self.smooth], axis=0)
            target += SMOOTH_WEIGHT * (smooth - target)
        if self.real and real:
            rows = rng.integers(len(self.real[1]), size=real)
            magnitudes = np.concatenate((magnitudes, self.real[0][rows]))
            target = np.concatenate((target, self.real[1][rows]))
        return magnitudes.astype(np.float32), target.astype(np.float32)


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

    def forward(self, images: Tensor, magnitudes: Tensor) -> Tensor:
        """Redshifts [N] in units of REDSHIFT_SCALE. The image branches run in bfloat16, which halves their time."""
        images = images / self.flux[:, None, None]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            features = torch.cat((self.model.vit(images), self.model.inception_model.vis_inception(images)), dim=1)
        return self.head(features.float(), magnitudes)

    def head(self, features: Tensor | None, magnitudes: Tensor) -> Tensor:
        """The answer where `features` are the image branches', None standing for zeros."""
        first, relu, last = self.model.concat_block
        of_magnitudes = self.model.inception_model.magnitude_block((magnitudes - self.middle) @ self.axes.T)
        weight = cast(Tensor, first.weight)
        if features is None:
            joined, weight = of_magnitudes, weight[:, -of_magnitudes.shape[1] :]
        else:
            joined = torch.cat((features, of_magnitudes), dim=1)
        answer: Tensor = last(relu(nn.functional.linear(joined, weight, cast(Tensor, first.bias))))
        return answer[:, 0]

    @torch.no_grad()
    def fold(self) -> RedshiftModel:
        for convolution in (self.model.patch_embed.proj, self.model.inception_model.vis_inception[0]):
            cast(nn.Conv2d, convolution).weight /= self.flux[:, None, None]
        first = cast(nn.Linear, self.model.inception_model.magnitude_block[0])
        last = cast(nn.Linear, self.model.concat_block[-1])
        weight = first.weight.double() @ self.axes.double()
        first.bias.sub_((weight @ self.middle.double()).float())
        first.weight.copy_(weight)
        last.weight.mul_(REDSHIFT_SCALE)
        last.bias.mul_(REDSHIFT_SCALE)
        return self.model


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


def train(
    loss: Callable[[], Tensor],
    groups: list[dict[str, Any]],
    steps: int,
    averaged: nn.Module,
    report: Callable[[int, float], None],
) -> None:
    """AdamW with a linear warm-up and a cosine decay; afterwards `averaged` holds the moving average of its weights."""
    optimiser = torch.optim.AdamW(groups, weight_decay=1e-4, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min(1, (step + 1) / 100) * (1 + math.cos(math.pi * step / steps)) / 2
    )
    parameters = list(averaged.parameters())
    average = [parameter.detach().clone() for parameter in parameters]
    running = 0.0
    for step in range(steps):
        value = loss()
        optimiser.zero_grad()
        torch.autograd.backward(value)
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        schedule.step()
        torch._foreach_lerp_(average, [p.detach() for p in parameters], 1 - min(AVERAGING, (step + 1) / (step + 10)))
        running += (value.item() - running) / min(step + 1, 100)
        if step % 100 == 99:
            report(step + 1, running)
    with torch.no_grad():
        for parameter, mean in zip(parameters, average, strict=True):
            parameter.copy_(mean)


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


def scores(predicted: Array, truth: Array) -> str:
    found = accuracy(predicted, truth)
    return f"R2 {found.r2:.4f}, MAE {found.mae:.5f}, bias {found.bias:+.5f}, NMAD {found.nmad:.5f}"


@torch.no_grad()
def predict(model: RedshiftModel, images: Array, magnitudes: Array) -> Array:
    pairs = zip(torch.split(torch.tensor(images), 256), torch.split(torch.tensor(magnitudes), 256), strict=True)
    return torch.cat([model(*pair)[:, 0] for pair in pairs]).numpy()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.train", allow_abbrev=False, description=__doc__)
    parser.add_argument(
        "--catalogue", type=Path, help=".npz with mags [N, 5] and redshift [N]; 1,000 rows are held out"
    )
    parser.add_argument("--out", type=Path, required=True, help="the weights, as float16 safetensors")
    parser.add_argument("--magnitude-steps", type=int, default=6000, help="steps of the first part (batch 512)")
    parser.add_argument("--image-steps", type=int, default=1000, help="steps of the second part (batch 64)")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)
    torch.manual_seed(args.seed)
    rng, started = np.random.default_rng(args.seed), time.perf_counter()

    def report(step: int, loss: float) -> None:
        print(f"{time.perf_counter() - started:6.0f} s  step {step:5d}  loss {loss:.5f}", flush=True)

    real, held, smooth = None, None, []
    if args.catalogue:
        magnitudes, redshifts = load_catalogue(args.catalogue)
        kept, aside = hold_out(len(redshifts))
        real, held = (magnitudes[kept], redshifts[kept]), (magnitudes[aside].astype(np.float32), redshifts[aside])
        smooth = [fit(*real, SMOOTH_COMPONENTS, seed) for seed in range(SMOOTH_FITS)]
    teacher = Teacher(Mixture.shipped(), smooth, real)

    def rendered(size: int) -> tuple[Tensor, Tensor, Tensor]:
        magnitudes, target = teacher.batch(size, rng)
        return torch.tensor(render(magnitudes, rng)), torch.tensor(magnitudes), torch.tensor(target / REDSHIFT_SCALE)

    def mean_loss(answer: Tensor, target: Tensor) -> Tensor:
        return nn.functional.smooth_l1_loss(answer, target, beta=0.2)

    model = RedshiftModel(ModelConfig())
    initialise(model)
    sample = teacher.batch(4096, rng)[0]
    network = Standardised(model, sample, render(sample[:512], rng))
    branch, head = model.inception_model.magnitude_block, model.concat_block

    def magnitude_loss() -> Tensor:
        magnitudes, target = map(torch.tensor, teacher.batch(512, rng, with_real=False))
        return mean_loss(network.head(None, magnitudes), target / REDSHIFT_SCALE)

    print("magnitude branch and head", flush=True)
    both = nn.ModuleList((branch, head))
    train(magnitude_loss, [{"params": both.parameters(), "lr": 1e-3}], args.magnitude_steps, both, report)
    with torch.no_grad():  # the head meets the image features: small at first, so that nothing learnt is lost
        cast(nn.Linear, head[0]).weight[:, : 2 * model.config.image_features] *= 0.05

    def image_loss() -> Tensor:
        images, magnitudes, target = rendered(64)
        return mean_loss(network(images, magnitudes), target)

    print("whole network", flush=True)
    rest = [p for name, p in model.named_parameters() if not name.startswith(("inception_model.mag", "concat_block"))]
    groups = [{"params": rest, "lr": 3e-4}, {"params": both.parameters(), "lr": 1e-4}]
    train(image_loss, groups, args.image_steps, model, report)
    calibrate_batch_norms(network, (rendered(256)[:2] for _ in range(20)))

    save(args.out, network.fold(), dtype="float16")
    model.half().float()  # what was saved
    drawn, truth = teacher.mixture.draw(4096, rng)
    print("sample galaxies:  ", scores(predict(model, render(drawn, rng), drawn), truth))
    if held:
        print("held-out galaxies:", scores(predict(model, render(held[0], rng), held[0]), held[1]))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
