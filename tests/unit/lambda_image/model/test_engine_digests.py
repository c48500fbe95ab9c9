import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lambda_image.errors import CheckpointError
from lambda_image.model import engine
from lambda_image.model.engine_digests import BLOCK_WORDS, weights_digest
from lambda_image.model.engine_files import LIBRARY, folder_of, weights_of

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


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:40_000])


def grow(path: Path) -> None:
    path.write_bytes(path.read_bytes() + bytes(4))


@pytest.fixture
def copied(compiled_checkpoint: Path, tmp_path: Path) -> Path:
    path = tmp_path / compiled_checkpoint.name
    path.symlink_to(compiled_checkpoint)
    shutil.copytree(folder_of(compiled_checkpoint), folder_of(path))
    return path


@pytest.mark.parametrize("damage", [flip, cut, grow])
@pytest.mark.parametrize("file", ["library", "weights"])
def test_a_damaged_engine_is_not_used_and_the_reference_takes_its_place(
    copied: Path, file: str, damage: Callable[[Path], None]
) -> None:
    folder = folder_of(copied)
    path = folder / LIBRARY if file == "library" else weights_of(folder, "float32")
    damage(path)
    said: list[str] = []
    made = engine.load(copied, 1, on_damage=said.append)
    assert made.name == "eager"
    (reason,) = said
    assert reason.startswith(f"eager PyTorch predicts: {path} is damaged: it is not what was compiled; make it again")
    with pytest.raises(CheckpointError, match=f"{path} is damaged"):
        engine.load(copied, 1, "fast")


def test_without_pytorch_a_damaged_engine_is_one_line(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flip(weights_of(folder_of(copied), "float32"))
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr(engine, "find_spec", lambda name: None)
    with pytest.raises(CheckpointError, match=r"is damaged.*PyTorch, which would predict, is not installed") as caught:
        engine.load(copied, 1)
    assert "\n" not in str(caught.value)


def test_an_engine_that_is_missing_is_not_called_damaged(compiled_checkpoint: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone.safetensors"
    alone.symlink_to(compiled_checkpoint)
    said: list[str] = []
    assert engine.load(alone, 1, on_damage=said.append).name == "eager"
    assert not said
