"""RealGalaxies with images and targets, and the batches that the network sees."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lambda_image.data.quality import SKY_NOISE
from scripts.galaxies import COLOURS, Array, Mixture, PetrosianMixture, render_light
from scripts.training.catalogues import RealGalaxies
from scripts.training.teacher import CLIPPED, Teacher

RENDERINGS = 3  # of each real galaxy, with other sizes, concentrations and orientations
DRAWS = 8000  # of the mixture, for each of the two kinds of images
DIFFERENCE = 0.1  # magnitudes: scale of Petrosian less model magnitudes


@dataclass(frozen=True)
class Lessons:
    """RealGalaxies to learn from; the sky's noise is drawn anew each time that one is seen."""

    light: Tensor  # float16 [N, 5, 32, 32], nanomaggies without noise
    magnitudes: Tensor  # float32 [N, 5]
    targets: Tensor  # float32 [N], redshifts
    differences: Tensor  # float32 [N, 5], Petrosian less model magnitudes, in units of DIFFERENCE

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def photometry(self) -> Tensor:
        """r and the colours [N, 5] of the light in the images."""
        light = self.magnitudes + self.differences * DIFFERENCE
        return light @ torch.tensor(COLOURS.T, dtype=torch.float32)

    def batch(self, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Rows chosen by chance, and their images, turned and mirrored, with noise."""
        rows = torch.randint(len(self), (size,), generator=generator)
        images = self.light[rows].float()
        parts = torch.chunk(images, 8)
        images = torch.cat([turned(part, turn) for turn, part in enumerate(parts)])
        sky = torch.tensor(SKY_NOISE, dtype=torch.float32)[:, None, None]
        return rows, images + sky * torch.randn(images.shape, generator=generator)


def turned(images: Tensor, turn: int) -> Tensor:
    """One of the eight ways to turn and mirror a square."""
    quarter = torch.rot90(images, turn % 4, (2, 3))
    return quarter if turn < 4 else quarter.flip(3)


def prepare(plain: RealGalaxies, petrosian: RealGalaxies | None, teacher: Teacher, rng: np.random.Generator) -> Lessons:
    """Renders real galaxies and draws.

    Where Petrosian magnitudes are unknown, images hold the light of the model magnitudes, as `cosmicai sample
    --catalogue` renders them. Draws have both kinds of images.
    """
    lessons = []
    mixture = Mixture.shipped()
    magnitudes, redshifts = mixture.draw(DRAWS, rng)
    lessons.append(lesson(magnitudes, None, teacher.of_magnitudes(magnitudes), rng))
    expected = teacher.of_magnitudes(plain.magnitudes)
    lessons.extend(lesson(plain.magnitudes, None, expected, rng) for _ in range(RENDERINGS))
    if petrosian is not None:
        magnitudes, redshifts = mixture.draw(DRAWS, rng)
        light = PetrosianMixture.shipped().draw(magnitudes, redshifts, rng)
        expected = teacher.of_magnitudes(magnitudes) + teacher.profile_change(magnitudes, light)
        lessons.append(lesson(magnitudes, light, expected, rng))
        expected = teacher.of_profiles(petrosian.magnitudes, petrosian.petrosian)
        real = (petrosian.magnitudes, petrosian.petrosian, expected)
        lessons.extend(lesson(*real, rng) for _ in range(RENDERINGS))
    return joined(lessons)


def lesson(magnitudes: Array, petrosian: Array | None, targets: Array, rng: np.random.Generator) -> Lessons:
    difference = np.zeros_like(magnitudes) if petrosian is None else petrosian - magnitudes
    return Lessons(
        torch.tensor(render_light(magnitudes, rng, petrosian)).half(),
        torch.tensor(magnitudes, dtype=torch.float32),
        torch.tensor(targets, dtype=torch.float32),
        torch.tensor(np.clip(difference, -CLIPPED, CLIPPED) / DIFFERENCE, dtype=torch.float32),
    )


def joined(lessons: Sequence[Lessons]) -> Lessons:
    return Lessons(
        torch.cat([one.light for one in lessons]),
        torch.cat([one.magnitudes for one in lessons]),
        torch.cat([one.targets for one in lessons]),
        torch.cat([one.differences for one in lessons]),
    )
