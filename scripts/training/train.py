"""Trains the weights that ship with the project: python -m scripts.training.train --help

First small networks learn what larger ensembles, boosted trees and mixtures make of magnitudes, and the magnitude
branch is made of them. Then the Inception branch and the head learn what images that hold the light of Petrosian
magnitudes add.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from lambda_image.metrics import accuracy
from lambda_image.model.architecture import ModelConfig, RedshiftModel
from lambda_image.model.checkpoint import load, save
from scripts.galaxies import COLOURS, Array, Mixture, render
from scripts.training.catalogues import Split, read_split, without_shared
from scripts.training.ensemble import fit_ensemble
from scripts.training.lessons import Lessons, prepare
from scripts.training.network import REDSHIFT_SCALE, Standardised, calibrate_batch_norms, initialise
from scripts.training.steps import Pace, train
from scripts.training.teacher import Teacher

IMAGE_BATCH = 128
MEMBERS, WIDTH = 7, 128  # networks that the magnitude branch is made of, and the units of their hidden layers
PHOTOMETRY_SCALE = (0.3, 0.1, 0.1, 0.1, 0.1)  # magnitudes: of r and the colours that the images' features tell
ASIDE = 0.2  # weight of each of the two losses beside that of redshifts


def magnitude_part(network: Standardised, teacher: Teacher, splits: list[Split], steps: int, seed: int) -> None:
    """Teaches small networks on draws and on real galaxies, and makes the magnitude branch of them."""
    drawn, _ = Mixture.shipped().draw(100_000, np.random.default_rng(seed))
    real = [np.repeat(split.training.magnitudes, 4, axis=0) for split in splits]
    magnitudes = np.concatenate((drawn, *real))
    students = fit_ensemble(
        magnitudes @ COLOURS.T, teacher.of_magnitudes(magnitudes), members=MEMBERS, hidden=WIDTH, steps=steps, seed=seed
    )
    for split in splits:
        aside = split.validation
        print(
            "students, magnitudes:  ",
            scores(students.predict(aside.magnitudes @ COLOURS.T), aside.redshifts),
            flush=True,
        )
    network.embed(students)


def image_part(network: Standardised, lessons: Lessons, pace: Pace, seed: int, checkpoint: Path | None) -> None:
    """Trains the Inception branch and the head, but for the unit that gives the answer of magnitudes."""
    generator = torch.Generator().manual_seed(seed + 1)
    scale = torch.tensor(PHOTOMETRY_SCALE)
    photometry = lessons.photometry
    middle = photometry.mean(dim=0)
    features = network.magnitude_features(lessons.magnitudes).half()

    def loss(done: float) -> Tensor:
        rows, images = lessons.batch(IMAGE_BATCH, generator)
        answer, differences, seen = network(images, features[rows].float())
        aside = smooth(differences, lessons.differences[rows]) + smooth(seen, (photometry[rows] - middle) / scale)
        return smooth(answer, lessons.targets[rows] / REDSHIFT_SCALE) + ASIDE * (1 - done) * aside

    head = network.model.concat_block
    for parameter, unit in ((head[0].weight, (0,)), (head[0].bias, (0,)), (head[2].weight, (slice(None), 0))):
        hold(cast(Tensor, parameter), unit)
    network.requires_grad_(False)
    learning = nn.ModuleList((network.model.inception_model.vis_inception, network.photometry, network.differences))
    learning.requires_grad_()
    head.requires_grad_()
    groups: list[dict[str, object]] = [
        {"params": learning.parameters(), "lr": 1e-3},
        {"params": head.parameters(), "lr": 3e-4, "weight_decay": 0.0},  # decay would reach what is held
    ]
    train(network, loss, groups, pace, report, generator, checkpoint)
    batches = (lessons.batch(256, generator) for _ in range(16))
    calibrate_batch_norms(network, ((images, features[rows].float()) for rows, images in batches))


def hold(parameter: Tensor, unit: tuple[int | slice, ...]) -> None:
    """Keeps a part of a parameter as it is."""

    def without(gradient: Tensor) -> Tensor:
        gradient = gradient.clone()
        gradient[unit] = 0
        return gradient

    parameter.requires_grad_()
    parameter.register_hook(without)  # type: ignore[no-untyped-call]  # PyTorch has no types for it


def smooth(answer: Tensor, target: Tensor) -> Tensor:
    return nn.functional.smooth_l1_loss(answer, target, beta=0.5)


def report(step: int, seconds: float, loss: float) -> None:
    print(f"{seconds:6.0f} s  step {step:5d}  loss {loss:.5f}", flush=True)


def scores(predicted: Array, truth: Array) -> str:
    found = accuracy(predicted, truth)
    return f"R2 {found.r2:.4f}, MAE {found.mae:.5f}, bias {found.bias:+.5f}, NMAD {found.nmad:.5f}"


@torch.no_grad()
def predict(model: RedshiftModel, images: Array, magnitudes: Array) -> Array:
    model.eval()
    pairs = zip(torch.split(torch.tensor(images), 256), torch.split(torch.tensor(magnitudes).float(), 256), strict=True)
    return torch.cat([model(*pair)[:, 0] for pair in pairs]).numpy()


def starting_network(start: Path | None, lessons: Lessons) -> Standardised:
    """The network with the weights of `start`, or new ones."""
    model = RedshiftModel(ModelConfig())
    initialise(model)
    if start:
        model.load_state_dict(load(start).float().state_dict())
        model.train().requires_grad_()
    light = lessons.light[:: max(1, len(lessons) // 512)].float().numpy()
    network = Standardised(model, lessons.magnitudes.numpy(), light)
    if start:
        network.unfold()
    return network


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.training.train", allow_abbrev=False, description=__doc__)
    parser.add_argument("--catalogue", type=Path, required=True, help=".npz with mags [N, 5] and redshift [N]")
    parser.add_argument("--petrosian", type=Path, help=".npz that has petro_mags [N, 5], too, and ra and dec [N]")
    parser.add_argument("--out", type=Path, required=True, help="the weights, as float16 safetensors")
    parser.add_argument("--start", type=Path, help="weights to go on from; without it they are drawn")
    parser.add_argument("--magnitude-steps", type=int, default=6000, help="steps of the first part")
    parser.add_argument("--steps", type=int, default=6000, help="steps of the second part, on images")
    parser.add_argument("--checkpoint", type=Path, help="a file to go on from after an interruption")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)
    torch.manual_seed(args.seed)
    rng = np.random.default_rng(args.seed)
    splits = without_shared([read_split(path) for path in (args.catalogue, args.petrosian) if path])
    plain, petrosian = splits[0].training, splits[1].training if args.petrosian else None
    teacher = Teacher.fitted(plain, petrosian, args.seed)
    show_teacher(teacher, splits)
    lessons = prepare(plain, petrosian, teacher, rng)
    print(f"{len(lessons):,} images to learn from", flush=True)
    network = starting_network(args.start, lessons)
    magnitude_part(network, teacher, splits, args.magnitude_steps, args.seed)
    image_part(network, lessons, Pace(args.steps), args.seed, args.checkpoint)
    save(args.out, network.fold(), dtype="float16")
    model = load(args.out)
    for split in splits:
        aside = split.validation
        images = render(aside.magnitudes, rng, aside.petrosian)
        print(f"{len(aside):,} galaxies kept aside:", scores(predict(model, images, aside.magnitudes), aside.redshifts))
    return 0


def show_teacher(teacher: Teacher, splits: list[Split]) -> None:
    """Prints how good the teachers are on galaxies that they did not see."""
    aside = splits[0].validation
    print("teachers, magnitudes:  ", scores(teacher.of_magnitudes(aside.magnitudes), aside.redshifts), flush=True)
    if teacher.model:
        aside = splits[1].validation
        only = teacher.of_profiles(aside.magnitudes, aside.petrosian) - teacher.profile_change(
            aside.magnitudes, aside.petrosian
        )
        print("the other catalogue:   ", scores(only, aside.redshifts))
        both = teacher.of_profiles(aside.magnitudes, aside.petrosian)
        print("with Petrosian ones:   ", scores(both, aside.redshifts), flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
