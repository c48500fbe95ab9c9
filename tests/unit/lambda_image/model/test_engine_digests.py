from collections.abc import Callable

import numpy as np
import pytest

from lambda_image.model.engine_digests import BLOCK_WORDS, weights_digest

WORDS = 3 * BLOCK_WORDS + 5


def weights(count: int = 2 * WORDS + 1) -> np.ndarray:
    return np.random.default_rng(0).normal(size=count).astype(np.float32)


def test_any_flipped_bit_is_found() -> None:
    original, digest = weights(), weights_digest(weights())
    for place in [*np.random.default_rng(1).integers(0, original.nbytes, 100).tolist(), 0, original.nbytes - 1]:
        for bit in (0, 3, 7):
            damaged = original.copy()
            damaged.view(np.uint8)[place] ^= 1 << bit
            assert weights_digest(damaged) != digest


@pytest.mark.parametrize(
    "damage",
    [
        lambda array: array[:-1],
        lambda array: np.append(array, np.float32(0)),
        lambda array: np.concatenate(
            [array[: 2 * BLOCK_WORDS - 1024], np.zeros(1024, np.float32), array[2 * BLOCK_WORDS :]]
        ),
        lambda array: np.concatenate(
            [array[2 * BLOCK_WORDS : 4 * BLOCK_WORDS], array[: 2 * BLOCK_WORDS], array[4 * BLOCK_WORDS :]]
        ),
    ],
    ids=["cut", "longer", "a page of zeros", "blocks swapped"],
)
def test_other_damage_is_found(damage: Callable[[np.ndarray], np.ndarray]) -> None:
    assert weights_digest(damage(weights())) != weights_digest(weights())


@pytest.mark.parametrize("count", [0, 1, 2, 2 * BLOCK_WORDS, 2 * BLOCK_WORDS + 1])
def test_every_length_has_a_digest(count: int) -> None:
    assert len(weights_digest(weights(count))) == 32
