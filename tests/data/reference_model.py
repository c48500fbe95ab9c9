"""Weights and galaxies that follow from seeds, and the redshifts that the network gives for them in float64.

Nothing here is trained or observed. Two small files are kept beside this one: `tensors.json` names the tensors of the
published state dict with their shapes, and `redshifts.json` holds the answers. `python -m tests.data.make` makes both
anew.
"""

import json
import math
import runpy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lambda_image.model.engine_files import MAX_DIFFERENCE

FOLDER = Path(__file__).parent
TENSORS, REDSHIFTS = FOLDER / "tensors.json", FOLDER / "redshifts.json"
GALAXIES = 32


@dataclass(frozen=True)
class ReferenceModel:
    """Weights by the names of the published state dict, inputs, and the right answers to them.

    `images` is float32 [N, 5, 32, 32], `magnitudes` float32 [N, 5] and `redshifts` float64 [N]. Answers in float32 are
    off by `tolerance` at most, which depends on how much these weights amplify rounding.
    """

    tensors: dict[str, NDArray[np.float32]]
    images: NDArray[np.float32]
    magnitudes: NDArray[np.float32]
    redshifts: NDArray[np.float64]
    tolerance: float


def seeded() -> ReferenceModel:
    """Return the weights and galaxies that follow from seeds, with the redshifts that are kept in this folder."""
    shapes: dict[str, list[int]] = json.loads(TENSORS.read_text())
    tensors = {name: tensor(name, tuple(shape)) for name, shape in shapes.items()}
    return ReferenceModel(tensors, *galaxies(), np.array(json.loads(REDSHIFTS.read_text())), MAX_DIFFERENCE)


def published(folder: Path) -> ReferenceModel:
    """Return the weights in `folder` with the redshifts that the published code gave for them."""
    weights = runpy.run_path(str(folder / "weights.py"))
    images, magnitudes, _ = weights["inputs"]()
    with np.load(folder / "outputs.npz") as outputs:
        redshifts = outputs["output_float64"][:, 0]
    return ReferenceModel(dict(weights["tensors"]()), images, magnitudes.astype(np.float32), redshifts, 3e-5)


def tensor(name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return values that depend on the name and the shape alone, of a size that suits what the tensor does."""
    spread = uniform(name, shape) * 2 - 1
    if name.endswith("running_var"):
        return 1 + spread / 2
    if len(shape) > 1:
        return spread * np.float32(math.sqrt(3 / math.prod(shape[1:])))  # LeCun: answers about as large as inputs
    scales_a_norm = name.endswith(".weight")
    return np.float32(scales_a_norm) + spread / 4


def galaxies() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return images whose pixels are mostly faint, and magnitudes from 14 to 20."""
    light = uniform("images", (GALAXIES, 5, 32, 32))
    return 3 * light * light, 14 + 6 * uniform("magnitudes", (GALAXIES, 5))


def uniform(name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return multiples of 2**-24 from 0 to 1, seeded by `name`.

    numpy promises that a bit generator's stream never changes, and promises no such thing of its distributions.
    """
    bits = np.random.PCG64(list(name.encode())).random_raw(math.prod(shape)) >> np.uint64(40)
    return (bits.astype(np.float32) * np.float32(2**-24)).reshape(shape)
